"""Scattering coefficients of two digits by an independent implementation, for the chapter on scattering to agree with.

    python benchmarks/kymatio_coefficients.py --out book/measurements/kymatio-mnist.npz

Needs kymatio 0.3.0 (Andreux et al. 2020, https://jmlr.org/papers/v21/19-047.html), which does not import with SciPy
1.17 and later, hence not the book's environment; the committed file was made with NumPy 1.26.4 and SciPy 1.16.3:
``pip install kymatio==0.3.0 "numpy<2" "scipy<1.17"``. The pictures are the first ones of MNIST's test split, divided
by 255. Each array is named ``J{J}_L{L}_digit{index}`` and has the shape (paths, side, side); paths come in kymatio's
order: the mean, then j1 and its angle, then j1, its angle, j2 > j1 and its angle.
"""

from __future__ import annotations

import argparse
import gzip
from pathlib import Path

import numpy as np

MNIST = Path(__file__).parent.parent / "data" / "mnist" / "t10k-images-idx3-ubyte.gz"
HEADER = 16  # bytes of the idx file before the pixels
SETTINGS = ((2, 8, 0), (3, 6, 1))  # J, L, which picture


def coefficients() -> dict[str, np.ndarray]:
    """The arrays of the record."""
    from kymatio.numpy import Scattering2D

    pixels = np.frombuffer(gzip.decompress(MNIST.read_bytes()), np.uint8, offset=HEADER)
    digits = pixels.reshape(-1, 28, 28).astype(np.float32) / 255
    return {f"J{J}_L{L}_digit{i}": Scattering2D(J=J, shape=(28, 28), L=L)(digits[i]) for J, L, i in SETTINGS}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    np.savez_compressed(parser.parse_args().out, **coefficients())
