"""Results pages and chapters as they are staged: what is in a record appears, what has not run is pending."""

import json
import math
import shutil
from pathlib import Path
from xml.etree import ElementTree

import nbformat
import pandas as pd
import pytest
import yaml
from PIL import Image

from book.tools import build, chapters, pages, pairs, status
from book.tools.curves import curves
from book.tools.grid import grids
from ganbook.batch import Experiment, Run, Scale
from ganbook.errors import DataError, InputError
from ganbook.notebooks import read_notebook

TINY = Path(__file__).parent.parent / "material" / "tiny.py"


def experiment() -> Experiment:
    scales = {
        "smoke": Scale(fixed={"steps": 1}),
        "cpu": Scale(sweep={"loss": ["hinge", "lsgan"]}, seeds=[0, 1]),
        "gpu": Scale(seeds=[0, 1, 2]),
    }
    return Experiment("tiny", "A tiny experiment", Path("notebooks/experiments/tiny.py"), scales)


def record(root: Path, run_id: str, *, accuracy: float, scale: str = "cpu", loss: str = "hinge", seed: int = 0) -> None:
    folder = root / scale / "tiny" / run_id
    folder.mkdir(parents=True)
    (folder / "params.json").write_text(json.dumps({"loss": loss, "seed": seed}))
    (folder / "metrics.json").write_text(json.dumps({"accuracy": accuracy, "protocol": {"n_fake": 500}}))
    environment = {"git_commit": "abcdef0123456789", "git_dirty": True, "device": "cpu (Fast <4>)", "threads": 1}
    environment |= {"train_seconds": 61.4, "date": "2026-11-21T05:00:00+00:00"}
    (folder / "environment.json").write_text(json.dumps(environment))
    Image.new("L", (8, 8)).save(folder / "samples.png")


@pytest.fixture
def staged(tmp_path):
    """The pages when one variant has both seeds, the other one, a foreign record lies about, and no GPU run exists."""
    local, committed = tmp_path / "runs", tmp_path / "results"
    record(local, "loss-hinge_seed-0", accuracy=0.90)
    (local / "cpu/tiny/loss-hinge_seed-0/history.csv").write_text("step,d_loss,g_loss\n1,0.5,1\n2,0.25,2\n")
    (local / "cpu/tiny/loss-hinge_seed-0/notebook.ipynb").write_text("{}")
    record(local, "loss-hinge_seed-1", accuracy=0.94, seed=1)
    record(committed, "loss-lsgan_seed-0", accuracy=0.5, loss="lsgan")
    record(local, "loss-rpgan_seed-0", accuracy=0.123, loss="rpgan")  # no longer declared
    found = pages.results({"tiny": experiment()}, "cpu", local=local, committed=committed)
    return {name: content() for name, content in found.items()}


def test_the_table_has_mean_spread_and_number_of_seeds(staged):
    page = staged["results/tiny.md"].decode()
    assert "| loss | accuracy | n |" in page
    assert "| `hinge` | 0.92 ± 0.25 | 2 |" in page.replace("\N{NO-BREAK SPACE}", " ")  # t(1) is 12.7
    assert "```{table}\n:class: sortable\n" in page
    assert "| `lsgan` | 0.5 | 1 |" in page
    assert "n_fake 500" in page


def test_one_variant_with_many_metrics_stands_upright(tmp_path):
    record(tmp_path, "loss-hinge_seed-0", accuracy=0.9)
    metrics = {f"m{i}": i / 10 for i in range(9)} | {"protocol": {"n_fake": 500}}
    (tmp_path / "cpu/tiny/loss-hinge_seed-0/metrics.json").write_text(json.dumps(metrics))
    found = pages.results({"tiny": experiment()}, "cpu", local=tmp_path, committed=tmp_path / "none")
    page = found["results/tiny.md"]().decode()
    assert "| metric | value |" in page
    assert "| m3 | 0.3 |" in page


@pytest.mark.parametrize("shared", [True, False])
def test_variants_with_many_metrics_of_several_things_stand_one_below_the_other(tmp_path, shared):
    for seed in (0, 1):
        for loss, of in (("hinge", "abc"), ("lsgan", "bcd" if shared else "def")):
            record(tmp_path, f"loss-{loss}_seed-{seed}", accuracy=0.9, loss=loss, seed=seed)
            metrics = {f"{what} {who}": seed for who in of for what in ("accuracy", "recall", "spread")}
            content = json.dumps(metrics | {"protocol": {"n_fake": 500}})
            (tmp_path / f"cpu/tiny/loss-{loss}_seed-{seed}/metrics.json").write_text(content)
    found = pages.results({"tiny": experiment()}, "cpu", local=tmp_path, committed=tmp_path / "none")
    page = found["results/tiny.md"]().decode().replace("\N{NO-BREAK SPACE}", " ")
    tables, _, _ = page.partition("````{dropdown}")
    assert tables.count("*Protocol:* n_fake 500.") == 1
    assert tables.count("|  | accuracy | recall | spread |") == (2 if shared else 1)
    assert tables.count("**With loss `hinge`:**") == shared
    assert ("With loss `hinge`; loss `lsgan`:" in tables) != shared
    assert "[All 12 numbers](tiny.md)" in found["results/index.md"]().decode() or not shared


def test_what_is_missing_is_pending_and_what_is_not_declared_is_absent(staged):
    overview = staged["results/index.md"].decode()
    assert "4 runs, 1 *pending*: `make experiments SCALE=cpu`" in overview
    assert "3 runs, 3 *pending*: `make experiments SCALE=gpu`" in overview
    assert not any("rpgan" in content.decode(errors="ignore") for content in staged.values())
    assert "0.123" not in overview


def test_a_record_of_other_parameters_than_declared_counts_as_pending(tmp_path):
    record(tmp_path, "loss-hinge_seed-0", accuracy=0.777, loss="wasserstein")
    found = pages.results({"tiny": experiment()}, "cpu", local=tmp_path, committed=tmp_path / "none")
    overview = found["results/index.md"]().decode()
    assert "4 runs, 4 *pending*" in overview
    assert "0.777" not in overview


def test_each_run_has_its_place_in_the_gallery_with_curves_samples_origin_and_command(staged):
    page = staged["results/tiny-runs.md"].decode()
    assert page.count("{dropdown}") == 3
    assert "commit `abcdef0123` + changes, cpu (Fast &lt;4&gt;), 1 thread, training 61 s, 2026-11-21" in page
    assert page.count(", this machine.") == 2
    assert page.count(", committed.") == 1
    assert "`ganbook reproduce cpu/tiny/loss-hinge_seed-1`" in page
    assert "(run-tiny-cpu-loss-hinge-seed-1)=" in page
    assert staged["results/tiny-cpu-loss-hinge_seed-1.png"].startswith(b"\x89PNG")
    assert page.count("-losses.svg") == 1 and page.count("{download}") == 1  # of the run that kept them
    assert staged["results/runs/tiny-cpu-loss-hinge_seed-0.ipynb"] == b"{}"
    curves = ElementTree.fromstring(staged["results/tiny-cpu-loss-hinge_seed-0-losses.svg"])
    assert [path.get("d")[:1] for path in curves.findall("{*}path")] == ["M", "M", "M"]  # the axes and two losses


def test_a_loss_that_is_no_number_is_a_gap():
    history = pd.DataFrame({"step": [1, 2, 3, 4], "d_loss": [1.0, math.nan, 2.0, 1.5]})
    *_, path = ElementTree.fromstring(curves(history)).findall("{*}path")
    assert path.get("d").count("M") == 2 and "nan" not in path.get("d")


def test_variants_are_compared_where_they_share_seeds(tmp_path):
    for loss, values in (("hinge", (0.90, 0.92)), ("lsgan", (0.80, 0.83))):
        for seed, accuracy in enumerate(values):
            record(tmp_path, f"loss-{loss}_seed-{seed}", accuracy=accuracy, loss=loss, seed=seed)
    found = pages.results({"tiny": experiment()}, "cpu", local=tmp_path, committed=tmp_path / "none")
    page = found["results/tiny.md"]().decode().replace("\N{NO-BREAK SPACE}", " ")
    assert "*accuracy* (more is better), against `loss=hinge`" in page
    assert "| `loss=lsgan` | -0.095 ± 0.064 | 2 | 0.033 | 0.033 |" in page
    assert "`loss=hinge`, `loss=lsgan`; agreement of the seeds (Kendall's W) 1." in page


def test_two_records_of_one_run_that_contradict_each_other_stop_the_pages(tmp_path):
    for root, accuracy in (("runs", 0.9), ("results", 0.8)):
        record(tmp_path / root, "loss-hinge_seed-0", accuracy=accuracy)
        path = tmp_path / root / "cpu/tiny/loss-hinge_seed-0/environment.json"
        path.write_text(json.dumps({"git_commit": "abc", "git_dirty": False}))
    with pytest.raises(DataError, match="both claim to be cpu/tiny/loss-hinge_seed-0"):
        pages.results({"tiny": experiment()}, "cpu", local=tmp_path / "runs", committed=tmp_path / "results")


def test_the_status_page_tells_when_how_long_and_on_what_and_the_other_one_command_a_number(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runs = [
        Run("tiny", "cpu", f"loss-hinge_seed-{seed}", Path("notebooks/experiments/tiny.py"), {}, chapter=seed == 0)
        for seed in (0, 1)
    ]
    record(tmp_path / "runs", "loss-hinge_seed-0", accuracy=0.9)
    certificate = {"seconds": 71.6, "started": "2026-11-21T05:00:09+00:00", "threads": 1, "sources": "0123456789"}
    certificate |= {"energy": {"watt_hours": 0.2}, "machine": {"cpu": "Fast <4>", "versions": {"torch": "2.13"}}}
    (tmp_path / runs[0].folder / "run.json").write_text(json.dumps(certificate))
    staged = status.pages(runs, runs, local=tmp_path / "runs", committed=tmp_path / "none")
    page = staged["results/status.md"]().decode()
    assert "1 of the 2 notebook runs" in page
    row = "| `loss-hinge_seed-0` | done | 2026-11-21 05:00 | 72 s | 0.2 Wh | 1 | Fast &lt;4&gt; | – | 2.13 | `0123"
    assert row in page
    assert "| `loss-hinge_seed-1` | not begun | – |" in page
    (tmp_path / runs[1].folder).mkdir(parents=True)
    (tmp_path / runs[1].folder / "run.json").write_text(json.dumps(certificate | {"seconds": 70.0}))
    anew = status.pages(runs, runs, local=tmp_path / "runs", committed=tmp_path / "none")
    alike = anew["results/status.md"]().decode()
    assert "All of them: threads 1, machine Fast &lt;4&gt;, torch 2.13.\n" in alike
    assert "| 72 s | 0.2 Wh | – | `0123" in alike and "| machine |" not in alike
    page = staged["results/reproduce.md"]().decode()
    assert "| `ganbook reproduce cpu/tiny/loss-hinge_seed-0` | accuracy 0.9 | abcdef0123 + changes |" in page
    assert "| [tiny](../experiments/tiny.ipynb) | `ganbook run notebooks/experiments/tiny.py` |" in page


def test_of_many_numbers_the_page_of_commands_shows_the_first(tmp_path):
    run = Run("tiny", "cpu", "loss-hinge_seed-0", Path("notebooks/experiments/tiny.py"), {})
    record(tmp_path, run.run_id, accuracy=0.9)
    metrics = {f"m{i}": i for i in range(9)} | {"protocol": {"n_fake": 500}}
    (tmp_path / "cpu/tiny/loss-hinge_seed-0/metrics.json").write_text(json.dumps(metrics))
    staged = status.pages([run], [run], local=tmp_path, committed=tmp_path / "none")
    assert "| m0 0, m1 1, m2 2 and [6 more](tiny-runs.md) |" in staged["results/reproduce.md"]().decode()


def test_each_variant_shows_the_sheet_of_its_first_seed(staged):
    page = staged["results/tiny.md"].decode()
    assert "tiny-cpu-loss-hinge_seed-0.png" in page
    assert "tiny-cpu-loss-hinge_seed-1.png" not in page
    assert page.count(":alt: Sheet of generated samples") == 2
    assert "results/tiny-cpu-loss-lsgan_seed-0.png" in staged


def test_a_damaged_record_stops_the_pages(tmp_path):
    record(tmp_path, "loss-hinge_seed-0", accuracy=0.9)
    (tmp_path / "cpu/tiny/loss-hinge_seed-0/metrics.json").write_text("{")
    with pytest.raises(DataError, match=r"loss-hinge_seed-0/metrics\.json is not a usable record"):
        pages.results({"tiny": experiment()}, "cpu", local=tmp_path, committed=tmp_path / "none")


def executed(path: Path, claim: str) -> Path:
    """A notebook as papermill leaves it."""
    notebook = read_notebook(TINY)
    injected = nbformat.v4.new_code_cell("seed = 7", metadata={"tags": ["injected-parameters"], "papermill": {}})
    notebook.cells.insert(2, injected)
    notebook.cells[-1].outputs = [nbformat.v4.new_output("stream", text=claim)]
    notebook.metadata["papermill"] = {"output_path": "/home/somebody"}
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path


def test_a_chapter_hides_the_injected_parameters_and_papermills_traces(tmp_path):
    page = chapters.page(executed(tmp_path / "notebook.ipynb", "fine: True\n")).decode()
    (cell,) = [c for c in json.loads(page)["cells"] if "injected-parameters" in c["metadata"].get("tags", [])]
    assert "remove-cell" in cell["metadata"]["tags"]
    assert "papermill" not in page
    assert "somebody" not in page


def test_claims_that_came_out_otherwise_are_listed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    script = tmp_path / "tiny.py"
    script.write_text(TINY.read_text())
    run = Run("tiny", "cpu", "default", script, {}, chapter=True)
    finished = executed(tmp_path / run.folder / "notebook.ipynb", "fine: True\n")
    assert chapters.broken_claims(run) == [f"{script} has no .ipynb yet; write it with `make notebooks`"]
    script.with_suffix(".ipynb").write_text(pairs.committed_half(script, nbformat.read(finished, as_version=4)))
    assert chapters.broken_claims(run) == []
    executed(tmp_path / run.folder / "notebook.ipynb", "fine: False\n")
    (line,) = chapters.broken_claims(run)
    assert "here 'fine: False', committed 'fine: True'" in line


def test_a_committed_half_keeps_the_claims_and_nothing_else(tmp_path):
    script = tmp_path / "tiny.py"
    script.write_text(TINY.read_text())
    origin = nbformat.read(executed(tmp_path / "run.ipynb", "fine: True\n"), as_version=4)
    for cell in origin.cells[:-1]:
        if cell.cell_type == "code":
            cell.outputs = [nbformat.v4.new_output("stream", text="noise")]
    twin = script.with_suffix(".ipynb")
    twin.write_text(pairs.committed_half(script, origin))
    assert pairs.problems(script) == []
    kept = [cell.outputs for cell in nbformat.read(twin, as_version=4).cells if cell.get("outputs")]
    assert len(kept) == 1
    assert kept[0][0].text == "fine: True\n"
    assert nbformat.read(twin, as_version=4).cells[-1].execution_count == 1  # or nbval would refuse it


def spoil_output(notebook):
    notebook.cells[4].outputs = [nbformat.v4.new_output("stream", text="noise")]


def spoil_source(notebook):
    notebook.cells[4].source += "\nx = 1"


def spoil_tags(notebook):
    notebook.cells[-1].metadata.tags.remove("keep_output")


def spoil_claim(notebook):
    notebook.cells[-1].outputs = []


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (spoil_output, "holds more than its script"),
        (spoil_source, "differ in their cells"),
        (spoil_tags, "carries all of the tags"),
        (spoil_claim, "printed nothing"),
    ],
)
def test_every_way_out_of_step_is_found(tmp_path, spoil, told):
    script = tmp_path / "tiny.py"
    script.write_text(TINY.read_text())
    twin = script.with_suffix(".ipynb")
    origin = nbformat.read(executed(tmp_path / "run.ipynb", "fine: True\n"), as_version=4)
    twin.write_text(pairs.committed_half(script, origin))
    notebook = nbformat.read(twin, as_version=4)
    spoil(notebook)
    nbformat.write(notebook, twin)
    assert any(told in problem for problem in pairs.problems(script))


def test_contents_and_pages_must_match(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "BOOK", tmp_path)
    (tmp_path / "_toc.yml").write_text("root: index\nparts:\n- chapters:\n  - file: theory/01\n  - glob: results/*\n")
    downloads = {"results/tiny.md": bytes, "results/runs/tiny-cpu-default.ipynb": bytes}  # no pages of their own
    build.check_contents({"index.md": bytes, "theory/01.ipynb": bytes, **downloads})
    with pytest.raises(DataError, match="Add `- file: theory/02`"):
        build.check_contents({"index.md": bytes, "theory/01.ipynb": bytes, "theory/02.ipynb": bytes})
    with pytest.raises(DataError, match=r"lists theory/01, but there is no such page"):
        build.check_contents({"index.md": bytes})


def test_each_experiments_results_are_listed_by_their_own_title_and_its_gallery_below(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "BOOK", tmp_path)
    results = "  - file: results/index\n    sections:\n    - glob: results/*  # all\n"
    (tmp_path / "_toc.yml").write_text(f"root: index\nparts:\n- chapters:\n{results}  - file: b\n")
    listed = yaml.safe_load(build.contents({"tiny": experiment()}))["parts"][0]["chapters"]
    (page,) = listed[0]["sections"]
    assert page == {
        "file": "results/tiny",
        "title": "A tiny experiment",
        "sections": [{"file": "results/tiny-runs", "title": "Every run"}],
    }
    assert listed[1] == {"file": "b"}


def test_the_closing_words_of_a_failed_batch_name_what_failed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notebooks" / "experiments").mkdir(parents=True)
    shutil.copy(TINY, tmp_path / "notebooks" / "experiments" / "tiny.py")
    declared = tmp_path / "notebooks" / "experiments.yml"
    declared.write_text("tiny: {title: Tiny, smoke: {}, cpu: {seeds: [0, 1]}}\n")
    log = tmp_path / "runs" / "batch-cpu.log"
    log.parent.mkdir()
    log.write_text(
        "Building DAG of jobs...\nError: Jupyter Book found something to mend\n  a.md: WARNING: no such key\nBye\n"
    )
    assert build.failures("cpu").startswith("Error: Jupyter Book found something to mend\n  a.md: WARNING")
    folder = tmp_path / "runs" / "cpu" / "tiny" / "seed-1"
    folder.mkdir(parents=True)
    (folder / "failure.txt").write_text("tiny did not run to its end: the kernel died.\n")
    text = build.failures("cpu")
    assert text == "tiny did not run to its end: the kernel died.\n1 of 2 runs failed; the others are kept."
    declared.write_text("tiny: {title: Tiny, smoke: {}, cpu: {sed: [0, 1]}}\n")
    assert "Did you mean 'seeds'" in build.failures("cpu")


def test_several_experiments_in_one_summary_are_refused(tmp_path):
    from ganbook.results import read_records
    from ganbook.tables import summary

    record(tmp_path, "a", accuracy=0.5)
    (tmp_path / "cpu" / "other").mkdir()
    (tmp_path / "cpu" / "tiny" / "a").rename(tmp_path / "cpu" / "other" / "a")
    record(tmp_path, "a", accuracy=0.5)
    with pytest.raises(InputError, match="one experiment"):
        summary(read_records(tmp_path))


def test_long_code_is_folded_unless_it_is_what_the_chapter_is_about(tmp_path):
    def code(lines, *tags):
        return nbformat.v4.new_code_cell("\n".join(["x = 1"] * lines), metadata={"tags": list(tags)})

    cells = [code(40), code(41), code(60, "key"), code(60, "claim"), code(60, "parameters"), code(1)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "executed.ipynb")
    page = nbformat.reads(chapters.page(tmp_path / "executed.ipynb").decode(), as_version=4)
    assert ["hide-input" in cell.metadata.tags for cell in page.cells] == [False, True, False, False, False, False]


@pytest.mark.parametrize(
    "names",
    [
        ["fd2k(judge)@dcgan", "recall@dcgan", "fd2k(judge)@sagan", "recall@sagan", "recall@last", "fd2k(judge)@last"],
        [
            "captured(plain)",
            "reverse_kl(plain)",
            "captured(wgan_gp)",
            "reverse_kl(wgan_gp)",
            "captured(ring)",
            "reverse_kl(ring)",
        ],
        ["clip_0.1_fd", "clip_0.1_judge_accuracy", "R1_fd", "R1_judge_accuracy", "no_cap_fd", "no_cap_judge_accuracy"],
        ["fd at 2", "recall at 2", "fd at 1", "recall at 1", "fd at 0.5", "recall at 0.5", "sum of 1", "sum of 3"],
        [
            "seconds vae",
            "feature error vae",
            "seconds vae, x",
            "feature error vae, x",
            "seconds ae",
            "feature error ae",
        ],
    ],
)
def test_numbers_of_several_things_become_a_table_with_two_heads(names):
    values = {name: str(i) for i, name in enumerate([*names, "alone"])}
    (found,), rest = grids(values)
    head, rows = found
    assert "alone" in rest
    shown = [cell for _, *cells in rows for cell in cells if cell != "–"]
    assert sorted(shown + list(rest.values())) == sorted(values.values())  # none is lost or shown twice
    assert len(shown) >= 4 and head[0] == ""
    for who, *cells in rows:
        for what, cell in zip(head[1:], cells, strict=True):
            name = next((name for name, value in values.items() if value == cell), "").replace("_", " ")
            assert not name or (who in name and what in name)
