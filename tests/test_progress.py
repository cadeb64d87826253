"""Where a run stands, told from its folder."""

import json

import pytest
from filelock import FileLock

from ganbook.progress import progress


def cells(*states):
    papermill = [{"papermill": {"status": state}} for state in states]
    return json.dumps(
        {"cells": [{"cell_type": "code", "metadata": m} for m in papermill] + [{"cell_type": "markdown"}]}
    )


def test_a_run_at_work_tells_its_cell_and_what_it_said_last(tmp_path):
    (tmp_path / "notebook.ipynb").write_text(cells("completed", "running", "pending"))
    (tmp_path / "run.log").write_text("first\nstep 40 of 100\n\n")
    with FileLock(tmp_path / ".lock"):
        assert progress(tmp_path).text == "at work, cell 2 of 3, step 40 of 100"
        (tmp_path / "notebook.ipynb").write_text('{"cells": [')  # just being written
        assert progress(tmp_path).text == "at work, step 40 of 100"
    (tmp_path / "notebook.ipynb").write_text(cells("completed", "running", "pending"))
    assert progress(tmp_path).text == "interrupted at cell 2 of 3; it goes on when run again"


@pytest.mark.parametrize(
    ("name", "content", "word", "told"),
    [
        ("run.json", '{"seconds": 61.4}', "done", "done in 61 s"),
        ("run.json", "{", "damaged", "delete the folder"),
        ("failure.txt", "x.py did not run to its end.\n", "failed", "failed: x.py did not run to its end."),
        ("other", "", "not begun", "not begun"),
    ],
)
def test_a_run_that_is_not_at_work_is_done_failed_or_not_begun(tmp_path, name, content, word, told):
    (tmp_path / ".lock").touch()  # left by a process that has ended
    (tmp_path / name).write_text(content)
    found = progress(tmp_path)
    assert found.word == word and told in found.text
