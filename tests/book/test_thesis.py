"""The page "The thesis, revisited": its figures stand beside our records, and what has not been run is pending."""

import json
from pathlib import Path

import pytest
from PIL import Image

from book.tools import thesis
from book.tools.thesis import read_thesis
from ganbook.batch import RUNS, Run, load_experiments, plan
from ganbook.errors import DataError

DATA = """
source: "Somebody, Something"
rows:
  S4.9: {asks: "DCGAN, faces", place: "3.3", says: "FID 102.35", fid: 102.35, experiment: ladder, variant: dcgan}
  S4.10: {asks: "SAGAN, faces", place: "3.5", says: "FID 80.91", fid: 80.91, experiment: ladder, variant: sagan}
  S4.16: {asks: "Other", place: "3.5.3", says: "diverges", experiment: grow, variant: "", where: {loss: wasserstein}}
"""


def run(scale, experiment, run_id, **parameters):
    return Run(experiment, scale, run_id, Path(f"notebooks/experiments/{experiment}.py"), parameters)


def record(root, made: Run, metrics, *, seconds=60.0):
    folder = root / made.folder.relative_to(RUNS)
    folder.mkdir(parents=True)
    (folder / "params.json").write_text(json.dumps(dict(made.parameters)))
    (folder / "metrics.json").write_text(
        json.dumps({**metrics, "protocol": {"n_fake": 500, "extractor": "emoji-judge"}})
    )
    (folder / "environment.json").write_text(json.dumps({"train_seconds": seconds, "device": "cpu"}))
    Image.new("RGB", (8, 8)).save(folder / "samples.png")


@pytest.fixture
def page(tmp_path):
    data = tmp_path / "thesis.yml"
    data.write_text(DATA)

    def build(made, runs):
        for which, metrics, *seconds in made:
            record(tmp_path / "results", which, metrics, **({"seconds": seconds[0]} if seconds else {}))
        staged = thesis.pages(runs, local=tmp_path / "runs", committed=tmp_path / "results", thesis=data)
        text = staged[thesis.PAGE]().decode().replace("\N{NO-BREAK SPACE}", " ")
        return text, staged

    return build


def row(text, name):
    return next(line for line in text.splitlines() if line.startswith(f"| {name} "))


LONG = [run("cpu-long", "ladder", f"dcgan_{seed}", variant="dcgan", seed=seed) for seed in range(3)]
ALL = run("cpu", "ladder", "all", variant="all")
FACES = [run("gpu", "ladder", f"dcgan_{seed}", variant="dcgan", seed=seed) for seed in range(2)]


def test_nothing_is_invented_where_nothing_was_run(page):
    text, staged = page([], [*LONG, ALL, run("cpu", "grow", "default"), run("gpu", "grow", "x", loss="lsgan")])
    assert row(text, "S4.9").endswith("| FID 102.35 (3.3) | *pending* | *pending* | not planned |")
    assert row(text, "S4.10").endswith("| *pending* | not planned | not planned |")
    assert row(text, "S4.16").endswith("| *pending* | not planned | not planned |")
    assert "our bar is a third of the figure, 34.1. *Pending*" in text and "*No samples yet.*" in text
    assert list(staged) == [thesis.PAGE]


def test_records_stand_with_mean_interval_seeds_time_and_sheet(page):
    made = [
        (which, {"fd1k(emoji-judge)": value, "recall": 0.5})
        for which, value in zip(LONG, (10.0, 20.0, 30.0), strict=True)
    ]
    text, staged = page([*made, (ALL, {"fd500(emoji-judge)@dcgan": 40.0, "recall@sagan": 0.25}, 30.0)], [*LONG, ALL])
    cells = row(text, "S4.9")
    assert "fd1k(emoji-judge) 20 ± 25; recall 0.5 ± 0; [3 seeds](ladder-runs.md); 60 s a run |" in cells
    assert "| fd500(emoji-judge) 40; [1 seed](ladder-runs.md); 30 s a run, all variants together |" in cells
    assert "| recall 0.25; [1 seed]" in row(text, "S4.10")
    sheets = [name for name in staged if name.endswith(".png")]
    assert sheets == ["results/thesis-ladder-cpu-long-dcgan_0.png", "results/thesis-ladder-cpu-all.png"]
    assert all(f"{{figure}} {Path(name).name}" in text and staged[name]()[:4] == b"\x89PNG" for name in sheets)
    assert "ladder (cpu-long): extractor emoji-judge, n_fake 500." in text


def test_a_record_of_other_parameters_is_not_shown(page):
    text, _ = page([(LONG[0], {"recall": 0.5})], [run("cpu-long", "ladder", "dcgan_0", variant="dcgan", seed=9)])
    assert "*pending*" in row(text, "S4.9")


@pytest.mark.parametrize(
    ("values", "words"), [((30.0, 32.0), "we have 31.0: **met**"), ((40.1, 40.1), "missed by 6.0")]
)
def test_the_bar_is_met_or_missed_by_how_much(page, values, words):
    made = [(which, {"fid10k": value}) for which, value in zip(FACES, values, strict=True)]
    text, _ = page(made, FACES)
    assert words in text
    assert "S4.10: our bar is a third of the figure, 27.0. *Pending*" in text


def test_a_row_with_an_unknown_field_is_refused(tmp_path):
    (tmp_path / "t.yml").write_text(
        "source: x\nrows:\n  S4.9: {asks: a, place: b, says: c, experiment: d, variantt: e}\n"
    )
    with pytest.raises(DataError, match="row S4.9.*variantt"):
        read_thesis(tmp_path / "t.yml")


def test_every_row_of_the_committed_file_has_a_run_that_will_answer_it():
    experiments = load_experiments()
    _, rows = read_thesis(Path("book") / thesis.THESIS)
    assert [r.name for r in rows] == [f"S4.{n}" for n in range(9, 18)]
    for r in rows:
        runs = [run for scale in thesis.SCALES for run in plan({r.experiment: experiments[r.experiment]}, scale)]
        assert any(thesis.planned(r, scale, runs) for scale in thesis.SCALES), r.name
        assert thesis.planned(r, "gpu", runs), r.name
