"""Saving and restoring state as safetensors: no pickle is written or loaded, and no half file is ever seen.

A state is any nesting of dicts, lists and plain values with tensors as leaves. The tensors go into one safetensors
file, the tree around them into its JSON header with a checksum of both, and the file appears under its name only once
it is complete. Earlier ones can be kept beside it, in the folder ``earlier``: ``1.safetensors`` is the one before,
``2.safetensors`` the one before that.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import warnings
import zlib
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ganbook.errors import DataError

EARLIER = "earlier"  # the folder of the checkpoints before the newest


def save_state(state: Any, path: Path, *, keep: int = 1) -> None:
    """Write ``state`` to ``path`` atomically.

    Args:
        state: dicts, lists, plain values and tensors.
        path: of the newest checkpoint.
        keep: how many there shall be in all; those before the newest move on in ``earlier``.

    Raises:
        DataError: the disk is full or the folder cannot be written; whatever was at ``path`` before is still there.
    """
    tensors: dict[str, Tensor] = {}
    tree = json.dumps(_flatten(state, "", tensors))
    content = save(tensors, metadata={"tree": tree, "crc32": checksum(tree, tensors)})
    write_atomically(path, content, keep=keep)


def checksum(tree: str, tensors: Mapping[str, Tensor]) -> str:
    """CRC-32 of the tree and of every tensor's bytes in the order of their names: it sees a changed bit."""
    crc = zlib.crc32(tree.encode())
    for name in sorted(tensors):
        crc = zlib.crc32(tensors[name].reshape(-1).view(torch.uint8).numpy().data, crc)
    return f"{crc:08x}"


def load_state(path: Path) -> Any:
    """Read what `save_state` wrote, tensors on the CPU.

    Raises:
        DataError: the file is missing, damaged or of another kind.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        if header.get("crc32", (whole := checksum(header["tree"], tensors))) != whole:  # older files have none
            raise ValueError("its checksum does not match")
        return _restore(json.loads(header["tree"]), tensors)
    except FileNotFoundError:
        raise DataError(f"There is no checkpoint at {path}. Train the run first, or give another folder.") from None
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise DataError(
            f"{path} is not a readable checkpoint ({error}). Delete it and resume from an earlier one, or train again."
        ) from None


def kept(path: Path) -> list[Path]:
    """The checkpoints that are there, ``path`` itself and the earlier ones beside it, the youngest first."""
    earlier = [old for old in (path.parent / EARLIER).glob(f"*{path.suffix}") if old.stem.isdigit()]
    return [path] * path.exists() + sorted(earlier, key=lambda old: int(old.stem))


def load_newest(path: Path) -> tuple[Any, Path]:
    """The newest readable state among ``path`` and the earlier ones beside it, and where it was found.

    A damaged one is passed over with a warning.

    Raises:
        DataError: there is none, or none can be read.
    """
    damage: list[DataError] = []
    for candidate in kept(path) or [path]:
        try:
            state = load_state(candidate)
        except DataError as error:
            damage.append(error)
            continue
        if damage:
            lost = " ".join(str(error) for error in damage)
            warnings.warn(f"{lost} Going on from an earlier one, {candidate}: some steps are lost.", stacklevel=3)
        return state, candidate
    raise damage[0]


def sweep(path: Path) -> None:
    """Remove what writers of ``path`` left behind that were killed half way."""
    for part in path.parent.glob(f".{path.name}.*.part"):
        part.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes, *, keep: int = 1) -> None:
    """Write ``content`` so that ``path`` holds either the old or the new bytes, never a part.

    With ``keep`` above 1 the old bytes move to ``earlier/1`` first; between the two moves nothing is at ``path``, and
    `load_newest` finds them there.

    Raises:
        DataError: the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if keep > 1 and path.exists():
            _move_on(path, keep - 1)
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise unwritable(path, error) from None


def _move_on(path: Path, places: int) -> None:
    """``path`` becomes ``earlier/1``, that becomes ``earlier/2``, and so on up to ``places``; the last one goes."""
    numbered = [path, *(path.parent / EARLIER / f"{i}{path.suffix}" for i in range(1, places + 1))]
    numbered[1].parent.mkdir(exist_ok=True)
    for younger, older in reversed(list(pairwise(numbered))):
        if younger.exists():
            os.replace(younger, older)


def unwritable(path: Path, error: OSError) -> DataError:
    """The one paragraph for a full disk, a missing permission or a file in the way."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        remedy = "Free some space or choose a folder on another disk (out=…), then run again: it resumes."
    else:
        remedy = "Choose a folder you may write to (out=…), or change the permissions of this one."
    return DataError(f"Cannot write {path}: {(error.strerror or str(error)).lower()}. Nothing old was lost. {remedy}")


def _flatten(node: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    if isinstance(node, Tensor):
        tensors[path] = node.detach().cpu().contiguous()
        return {"tensor": path}
    if isinstance(node, dict):  # as pairs: an optimiser's keys are numbers, which JSON would turn into text
        return {"dict": [[key, _flatten(value, f"{path}/{key}", tensors)] for key, value in node.items()]}
    if isinstance(node, list | tuple):
        return {"list": [_flatten(value, f"{path}/{i}", tensors) for i, value in enumerate(node)]}
    return {"value": node}


def _restore(node: dict[str, Any], tensors: dict[str, Tensor]) -> Any:
    ((kind, content),) = node.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {key: _restore(value, tensors) for key, value in content}
    if kind == "list":
        return [_restore(value, tensors) for value in content]
    return content
