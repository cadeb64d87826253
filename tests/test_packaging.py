"""pyproject.toml, requirements.lock and environment.yml tell the same story."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# names that conda gives to the same projects
CONDA_NAMES = {"torch": "pytorch", "pot": "pot"}


def required() -> list[Requirement]:
    """All requirements, those of the optional groups included."""
    groups = PROJECT["optional-dependencies"].values()
    return [Requirement(text) for text in [*PROJECT["dependencies"], *(text for group in groups for text in group)]]


def locked() -> dict[str, str]:
    """Pinned versions by name."""
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pairs}


def environment() -> tuple[dict[str, Requirement], dict[str, Requirement]]:
    """What environment.yml asks of conda and, within it, of pip."""
    entries = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    conda = [Requirement(entry) for entry in entries if isinstance(entry, str)]
    pip = [
        Requirement(entry) for block in entries if isinstance(block, dict) for entry in block["pip"] if entry[0] != "-"
    ]
    return ({canonicalize_name(r.name): r for r in conda}, {canonicalize_name(r.name): r for r in pip})


@pytest.mark.parametrize("requirement", required(), ids=str)
def test_the_lock_pins_every_requirement_within_its_range(requirement):
    version = locked().get(canonicalize_name(requirement.name))
    assert version is not None, f"{requirement.name} is not in requirements.lock: make lock"
    assert requirement.specifier.contains(version), f"{version} is outside {requirement}: make lock"


@pytest.mark.parametrize("requirement", required(), ids=str)
def test_conda_users_get_the_same_range(requirement):
    conda, pip = environment()
    name = canonicalize_name(requirement.name)
    found = pip.get(name) or conda.get(CONDA_NAMES.get(name, name))
    assert found is not None, f"environment.yml lacks {requirement}"
    assert found.specifier == requirement.specifier


def test_environment_yml_asks_for_nothing_else_and_for_the_same_python():
    conda, pip = environment()
    names = {canonicalize_name(r.name) for r in required()}
    known = names | {CONDA_NAMES.get(name, name) for name in names}
    assert not {*conda, *pip} - known - {"python", "pip", "git", "make"}
    assert str(conda["python"].specifier) == PROJECT["requires-python"]


def test_the_lock_pins_exactly_and_names_no_host_and_no_build_of_torch():
    text = (ROOT / "requirements.lock").read_text()
    for line in (line for line in text.splitlines() if line and not line.startswith("#")):
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line), line
    torch = next(r for r in required() if r.name == "torch")
    assert f"torch{torch.specifier}\n" in text  # CPU and CUDA wheels both match it


def test_versions_of_package_citation_and_pyproject_agree():
    import ganbook

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert ganbook.__version__ == PROJECT["version"] == citation["version"]
    assert citation["license"] == PROJECT["license"] == "MIT"
    assert "MIT License" in (ROOT / "LICENSE").read_text()
