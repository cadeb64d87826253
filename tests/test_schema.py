"""The JSON schema of experiments.yml: in step with the reader, and of the same mind about mistakes."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from ganbook.schema import SCHEMA, experiments_schema

ROOT = Path(__file__).parent.parent
VALIDATOR = jsonschema.Draft202012Validator(experiments_schema())

GOOD = {
    "tiny": {
        "title": "Tiny",
        "tags": ["small"],
        "smoke": None,
        "cpu": {
            "fixed": {"steps": 2},
            "sweep": {"loss": ["hinge"]},
            "zip": {"lr": [0.1, 1]},
            "explicit": [{}, {"flip": True}],
            "seeds": [0, 1],
            "resources": {"gpu": 1, "memory": 2.5, "minutes": 3},
        },
    }
}


def test_the_committed_schema_is_the_one_of_the_dataclasses():
    assert json.loads((ROOT / SCHEMA).read_text()) == experiments_schema(), "write it with: ganbook experiments schema"


def test_the_books_own_declaration_and_every_key_are_valid_and_named_in_its_first_line():
    text = (ROOT / "notebooks" / "experiments.yml").read_text()
    VALIDATOR.validate(yaml.safe_load(text))
    VALIDATOR.validate(GOOD)
    assert text.startswith(f"# yaml-language-server: $schema={SCHEMA.name}\n")


def spoilt(path, value):
    copy = json.loads(json.dumps(GOOD))
    node = copy["tiny"]
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return copy


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("gpus",), {}),
        (("title",), ""),
        (("tags",), "small"),
        (("cpu", "seed"), [0]),
        (("cpu", "seeds"), ["0"]),
        (("cpu", "sweep"), {"loss": "hinge"}),
        (("cpu", "zip"), {"lr": []}),
        (("cpu", "explicit"), {"loss": "hinge"}),
        (("cpu", "fixed"), {"steps": [1]}),
        (("cpu", "resources"), {"gpu": 0.5}),
        (("cpu", "resources"), {"minutes": -1}),
        (("cpu", "resources"), {"hours": 1}),
    ],
)
def test_an_editor_underlines_what_the_reader_would_refuse(path, value):
    assert not VALIDATOR.is_valid(spoilt(path, value))


def test_every_key_is_explained():
    scale = experiments_schema()["additionalProperties"]["properties"]["cpu"]["anyOf"][0]
    resources = scale["properties"]["resources"]
    for name, content in {**scale["properties"], **resources["properties"]}.items():
        assert len(content["description"]) > 8, name
