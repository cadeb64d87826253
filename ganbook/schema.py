"""The form of ``experiments.yml`` as a JSON schema, for editors: written from the dataclasses that read the file.

``ganbook experiments schema`` writes it to ``notebooks/experiments.schema.json``. An editor with a YAML language server
then completes keys, shows their meaning and underlines mistakes, because the first line of ``experiments.yml`` names
it. What it cannot know, such as the parameters of a notebook, is checked when the file is read.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from ganbook.declaration import SCALES, Scale

SCHEMA = Path("notebooks/experiments.schema.json")
VALUES: dict[Any, dict[str, Any]] = {
    bool: {"type": "boolean"},
    int: {"type": "integer", "minimum": 0},
    float: {"type": "number", "minimum": 0},
    str: {"type": "string", "minLength": 1},
    Any: {"type": ["string", "number", "boolean"]},
}


def experiments_schema() -> dict[str, Any]:
    """The JSON schema, draft 2020-12."""
    keys: dict[str, Any] = {
        "title": VALUES[str] | {"description": "what the results pages call the experiment"},
        "notebook": VALUES[str] | {"description": "path below notebooks/ without its ending; default experiments/NAME"},
        "tags": {"type": "array", "items": VALUES[str], "description": "to choose by: make experiments ONLY=TAG"},
    }
    keys |= {scale: {"anyOf": [_schema(Scale), {"type": "null"}]} for scale in SCALES}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Experiments of the GAN book",
        "type": "object",
        "propertyNames": {"pattern": "^[a-z][a-z0-9_]*$"},
        "additionalProperties": {
            "type": "object",
            "properties": keys,
            "required": ["title", "smoke", "cpu"],
            "additionalProperties": False,
        },
    }


def _schema(kind: Any) -> dict[str, Any]:
    """What a type allows; of a dataclass its fields, none of them required."""
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        properties = {f.name: _schema(hints[f.name]) | {"description": f.metadata["help"]} for f in fields(kind)}
        return {"type": "object", "properties": properties, "additionalProperties": False}
    if isinstance(kind, types.GenericAlias) or get_origin(kind) is not None:
        *_, inner = get_args(kind)
        if get_origin(kind) is Mapping:
            return {"type": "object", "additionalProperties": _schema(inner)}
        return {"type": "array", "minItems": 1, "items": _schema(inner)}
    return dict(VALUES[kind])
