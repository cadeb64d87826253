"""Saving and restoring state as safetensors: no pickle is written or loaded, and no half file is ever seen.

A state is any nesting of dicts, lists and plain values with tensors as leaves. The tensors go into one safetensors
file, the tree around them into its JSON header, and the file appears under its name only once it is complete.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ganbook.errors import DataError


def save_state(state: Any, path: Path) -> None:
    """Write ``state`` to ``path`` atomically.

    Raises:
        DataError: the disk is full or the folder cannot be written; whatever was at ``path`` before is still there.
    """
    tensors: dict[str, Tensor] = {}
    tree = _flatten(state, "", tensors)
    write_atomically(path, save(tensors, metadata={"tree": json.dumps(tree)}))


def load_state(path: Path) -> Any:
    """Read what `save_state` wrote, tensors on the CPU.

    Raises:
        DataError: the file is missing, damaged or of another kind.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tree = json.loads((file.metadata() or {})["tree"])
            return _restore(tree, {name: file.get_tensor(name) for name in file.keys()})
    except FileNotFoundError:
        raise DataError(f"There is no checkpoint at {path}. Train the run first, or give another folder.") from None
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise DataError(
            f"{path} is not a readable checkpoint ({error}). Delete it and resume from an older one, or train again."
        ) from None


def write_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` so that ``path`` holds either the old or the new bytes, never a part.

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
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise unwritable(path, error) from None


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
