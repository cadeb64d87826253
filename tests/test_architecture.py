"""Who may import whom: the layers in pyproject.toml hold, and every module has its place there."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache"]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


def test_each_layer_imports_only_what_stands_below_it():
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


def test_an_import_upwards_would_be_found(tmp_path):
    shutil.copytree(ROOT / "ganbook", tmp_path / "ganbook", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "ganbook" / "losses.py").open("a") as file:
        file.write("\nimport ganbook.training\n")
    result = lint_imports(tmp_path)
    assert result.returncode == 1
    assert "ganbook.losses -> ganbook.training" in result.stdout
