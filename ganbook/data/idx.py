"""The idx format of MNIST: a magic number, the shape as big-endian int32, then the bytes."""

from __future__ import annotations

import gzip
import struct
import zlib

import numpy as np

from ganbook.errors import DataError


def parse_idx(content: bytes, *, name: str) -> np.ndarray:
    """The uint8 array in a gzipped idx file.

    Args:
        content: the compressed bytes.
        name: of the file, for messages.

    Raises:
        DataError: not gzip, not idx of bytes, or shorter than its own header says.
    """
    try:
        raw = gzip.decompress(content)
        zero, kind, dimensions = struct.unpack(">HBB", raw[:4])
        shape = struct.unpack(f">{dimensions}i", raw[4 : 4 + 4 * dimensions])
        if (zero, kind) != (0, 8):
            raise ValueError("no idx file of unsigned bytes")
        return np.frombuffer(raw, np.uint8, offset=4 + 4 * dimensions).reshape(shape)
    except (OSError, EOFError, zlib.error, struct.error, ValueError) as error:
        raise DataError(f"{name} is not a readable gzipped idx file ({error}). Fetch or rebuild it.") from None
