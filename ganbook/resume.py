"""Whether a checkpoint can be gone on from: what it must hold, whose parameters it has, which networks it fits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ganbook.config import Config
from ganbook.errors import DataError, InputError
from ganbook.models.gan import GAN


def saved_config(state: Any, path: Path) -> Config:
    """The configuration in a checkpoint; parameters that are newer than the file have their defaults.

    Raises:
        DataError: a file of another program, or of another version with parameters that this one does not know.
    """
    parts = {"config", "n_classes", "channels", "gan", "batches", "history"}
    missing = sorted(parts - set(state)) if isinstance(state, dict) else sorted(parts)
    if missing:
        raise DataError(
            f"{path} is no checkpoint of a run: it has no {', '.join(missing)}. Give the folder of a run that "
            "`ganbook train` or an experiment notebook wrote."
        )
    try:
        return Config.from_mapping(state["config"])
    except InputError as error:
        raise DataError(
            f"{path} was written by another version of ganbook: {error} Use the version named in environment.json "
            "beside it, or train again."
        ) from None


def restore_gan(gan: GAN, state: Mapping[str, Any], path: Path) -> None:
    """Put a checkpoint's networks, optimisers and random stream into ``gan``.

    Raises:
        DataError: the networks in the file are others than the configuration describes.
    """
    try:
        gan.load_state_dict(state["gan"])
    except (RuntimeError, KeyError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"{path} does not fit the networks that its own parameters describe ({reason}). It was written by another "
            "version of ganbook: use that one, or train again."
        ) from None


def refuse_other_parameters(saved: Mapping[str, Any], wanted: Mapping[str, Any], path: Path) -> None:
    """Refuse to continue a run under other parameters.

    Other ``n_eval`` and ``checkpoints`` are no other parameters, nor are other ``steps`` where the learning rates do
    not depend on how many there are.

    Raises:
        InputError: lists each difference.
    """
    free = {"n_eval", "checkpoints"} | ({"steps"} if saved.get("schedule") == "constant" else set())
    names = sorted({*saved, *wanted} - free)
    changed = [f"{n}: {saved.get(n)!r} there, {wanted.get(n)!r} here" for n in names if saved.get(n) != wanted.get(n)]
    if changed:
        raise InputError(
            f"{path} belongs to a run with other parameters ({'; '.join(changed)}). Resume it with its own, "
            "or choose another folder (out=…) for the new ones."
        )
