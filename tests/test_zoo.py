"""The data file of the zoo: years in order, parents, references, implementations and pages that exist."""

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pybtex.database import parse_file

ROOT = Path(__file__).parent.parent
ZOO = yaml.safe_load((ROOT / "book" / "zoo.yml").read_text())
REFERENCES = parse_file(str(ROOT / "book" / "references.bib")).entries
VARIANT = {"name", "year", "family", "from", "changed", "loss", "ref"}
FIGURE = {"model", "data", "fid", "nfe", "ref", "where", "protocol"}
HERE = re.compile(r"(ganbook[\w.]*):(\w+)(?:\[(\w+)\])?")


def resolve(here: str) -> Any:
    """What ``module:name`` or ``module:REGISTRY[key]`` stands for."""
    found = HERE.fullmatch(here)
    if not found:
        raise ValueError(f"{here!r} is not module:name or module:REGISTRY[key]")
    module, name, key = found.groups()
    thing = getattr(importlib.import_module(module), name)
    return thing if key is None else thing[key]


def problems(zoo: dict[str, Any]) -> list[str]:
    """What is wrong with the variants, in words."""
    found = []
    earlier: dict[str, int] = {}
    for v in zoo["variants"]:
        name, year = v["name"], v["year"]
        if missing := VARIANT - set(v):
            found.append(f"{name} lacks {missing}")
        if unknown := set(v) - VARIANT - {"here", "shown"}:
            found.append(f"{name} has unknown {unknown}")
        if name in earlier:
            found.append(f"{name} stands twice")
        if earlier and year < max(earlier.values()):
            found.append(f"{name} of {year} stands after a later one")
        found += [
            f"{name} comes from {parent}, which does not stand before it"
            for parent in v["from"]
            if parent not in earlier
        ]
        if not v["from"] and earlier:
            found.append(f"{name} comes from nothing")
        if v["family"] not in zoo["families"]:
            found.append(f"{name} is of no family: {v['family']}")
        if v["ref"] not in REFERENCES:
            found.append(f"{name}: no reference {v['ref']}")
        elif abs(first_year(v["ref"]) - year) > (v["ref"] == "huang2024gan"):  # its preprint followed the conference
            found.append(f"{name} of {year} appeared in {first_year(v['ref'])}")
        earlier[name] = year
    return found


def first_year(key: str) -> int:
    """When a source first appeared: its arXiv number's year, else that of publication."""
    fields = REFERENCES[key].fields
    number = re.search(r"(\d\d)\d\d\.\d{4,5}", fields.get("note", "") + fields.get("eprint", ""))
    return 2000 + int(number[1]) if number else int(fields["year"])


def test_the_variants_are_whole_in_order_and_each_comes_from_earlier_ones():
    assert problems(ZOO) == []
    assert len(ZOO["variants"]) >= 35
    assert (ZOO["variants"][0]["name"], ZOO["variants"][-1]["name"]) == ("GAN", "R3GAN")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"year": 2013}, "stands after a later one"),
        ({"from": ["StyleGAN9"]}, "does not stand before it"),
        ({"from": []}, "comes from nothing"),
        ({"family": "birds"}, "of no family"),
        ({"ref": "nobody2020nothing"}, "no reference"),
        ({"year": 2019}, "appeared in 2018"),
        ({"name": "GAN"}, "stands twice"),
        ({"colour": "blue"}, "unknown"),
    ],
)
def test_a_fault_is_found(change, said):
    index = next(i for i, v in enumerate(ZOO["variants"]) if v["name"] == "SAGAN")
    spoiled = [v | change if i == index else v for i, v in enumerate(ZOO["variants"])]
    assert any(said in problem for problem in problems(ZOO | {"variants": spoiled}))


def test_a_variant_that_lacks_its_loss_is_found():
    spoiled = [{k: x for k, x in v.items() if k != "loss"} for v in ZOO["variants"]]
    assert "GAN lacks {'loss'}" in problems(ZOO | {"variants": spoiled})


def test_what_this_book_has_can_be_imported_and_its_pages_exist():
    ours = [v for v in ZOO["variants"] if "here" in v]
    assert len(ours) >= 20
    for v in ours:
        thing = resolve(v["here"])
        assert callable(thing) or isinstance(thing, dict | tuple), v["here"]
    for page in {v["shown"] for v in ZOO["variants"] if "shown" in v}:
        assert (ROOT / "notebooks" / f"{page}.py").exists(), page


@pytest.mark.parametrize("here", ["ganbook.nn.dcgan", "os:path", "ganbook.nn.dcgan:Generator()"])
def test_only_names_of_the_library_are_resolved(here):
    with pytest.raises(ValueError, match="is not module:name"):
        resolve(here)


def test_every_loss_and_every_family_of_networks_of_the_library_is_on_the_map():
    from ganbook.losses import LOSSES

    named = {found[3] for v in ZOO["variants"] if (found := HERE.fullmatch(v.get("here", ""))) and found[2] == "LOSSES"}
    assert set(LOSSES) - named == {"minimax", "nonsaturating"}  # those of the first paper
    modules = {v["here"].split(":")[0].split(".")[-1] for v in ZOO["variants"] if "here" in v}
    assert {"dcgan", "resnet", "sagan", "pggan", "r3gan"} <= modules


def test_published_figures_say_where_they_stand_and_by_which_protocol():
    for figure in ZOO["published"]:
        assert set(figure) == FIGURE, figure
        assert figure["ref"] in REFERENCES
        assert 1 < figure["fid"] < 100
        assert isinstance(figure["nfe"], int) and figure["nfe"] >= 1
        assert "samples" in figure["protocol"]
        assert figure["where"]
    keys = [(f["model"], f["data"], f["nfe"]) for f in ZOO["published"]]
    assert len(set(keys)) == len(keys)
