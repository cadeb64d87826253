"""What can go wrong, in words a reader can act on.

Every message is one paragraph: what came, what was expected, how to mend it. The command line prints the paragraph
and no traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class GanbookError(Exception):
    """Base of all errors that a user can mend; its text is one complete paragraph."""


class InputError(GanbookError, ValueError):
    """A value that the caller passed is not usable: an unknown name, a wrong shape, a wrong type."""


class DataError(GanbookError):
    """A file is missing, corrupt or unreadable."""


class DivergenceError(GanbookError, ArithmeticError):
    """A loss became NaN or infinite during training."""


def unknown_name(kind: str, name: object, known: Iterable[str]) -> InputError:
    """An `InputError` for a misspelt name, suggesting the nearest known one.

    Args:
        kind: what the name names, e.g. ``"loss"``.
        name: what the caller wrote.
        known: the names that exist.
    """
    names = sorted(known)
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    return InputError(f"Unknown {kind} {name!r}. {hint}Known: {', '.join(names)}.")
