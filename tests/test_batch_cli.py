"""``ganbook run``: parameters from files and from the command line, before anything is executed."""

from pathlib import Path

import pytest

from ganbook import batch_cli
from ganbook.errors import DataError, InputError

TINY = Path(__file__).parent / "material" / "tiny.py"


@pytest.fixture
def given(monkeypatch, tmp_path):
    """Calls the command and returns the parameters that the run would get."""
    seen = {}

    def run_notebook(notebook, values, folder, **options):
        seen.update(values)
        folder.mkdir(parents=True)
        (folder / "run.json").write_text('{"seconds": 1}')

    monkeypatch.setattr(batch_cli, "run_notebook", run_notebook)

    def call(**options):
        batch_cli.run(
            TINY, out=tmp_path / "run", threads=1, cell_timeout=None, minutes=None, gpus=0, once=False, **options
        )
        return seen

    return call


@pytest.mark.parametrize("text", ['{"steps": 5, "flip": true}', "steps: 5\nflip: true\n"])
def test_the_command_line_wins_over_json_and_that_over_a_file(given, tmp_path, text):
    file = tmp_path / "parameters.yml"
    file.write_text(text)
    assert given(file=file, parameters='{"seed": 2}', parameter=["seed=3", "lr=1"]) == {
        "steps": 5,
        "flip": True,
        "seed": 3,
        "lr": 1.0,
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("steps: 5\nseed: 1\nsteps: 6\n", "the key 'steps' stands there twice"),
        ('{"steps": 5, "steps": 6}', "the key 'steps' stands there twice"),
        ("steps:\n\t- 5\n", "Indent with spaces, not tabs"),
        ("{", "is not valid YAML"),
        ("- 5\n", "must map parameter names to values, got list"),
    ],
)
def test_a_parameter_file_with_a_mistake_is_refused_with_its_place(given, tmp_path, text, told):
    file = tmp_path / "parameters.yml"
    file.write_text(text)
    with pytest.raises((DataError, InputError), match=told) as caught:
        given(file=file, parameters="{}", parameter=None)
    assert str(file) in str(caught.value)


def test_a_parameter_file_that_is_not_there_is_told(given, tmp_path):
    with pytest.raises(DataError, match="There is no"):
        given(file=tmp_path / "none.yml", parameters="{}", parameter=None)
    with pytest.raises(DataError, match="cannot be read"):
        given(file=tmp_path, parameters="{}", parameter=None)


@pytest.mark.parametrize(("pair", "told"), [("steps", "NAME=VALUE"), ("steps=many", "takes int, got 'many'")])
def test_a_mistake_on_the_command_line_is_told(given, pair, told):
    with pytest.raises(InputError, match=told):
        given(file=None, parameters="{}", parameter=[pair])
