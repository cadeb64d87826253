"""Tables as HTML, CSV and LaTeX."""

import io
import math
import shutil
import subprocess
from html.parser import HTMLParser

import pandas as pd
import pytest

from ganbook.errors import DataError, InputError
from ganbook.export import escape_latex, export, html_table, to_csv, to_html, to_latex

COMMON = {"scale": "cpu", "protocol": "n_fake 10"}
TABLE = pd.DataFrame(
    [
        {**COMMON, "loss": "<hinge> & co", "n": 3, "fid": 9.5, "fid_std": 1.0, "fid_ci": 2.484},
        {**COMMON, "loss": "lsgan", "n": 1, "fid": 12.0, "fid_std": math.nan, "fid_ci": math.nan},
    ],
    columns=["scale", "loss", "protocol", "n", "fid", "fid_std", "fid_ci"],
)


class Cells(HTMLParser):
    def __init__(self):
        super().__init__()
        self.rows, self.values = [], []

    def handle_starttag(self, tag, attributes):
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.values += [dict(attributes).get("data-value")] if tag == "td" else []

    def handle_data(self, data):
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


def test_html_has_every_cell_escaped_and_numbers_to_sort_by():
    cells = Cells()
    cells.feed(html_table(TABLE).replace("\n", ""))
    head, hinge, lsgan = cells.rows
    assert head == ["scale", "loss", "protocol", "n", "fid"]
    assert hinge == ["cpu", "<hinge> & co", "n_fake 10", "3", "9.5 ± 2.5"]
    assert lsgan[-1] == "12"
    assert [v for v in cells.values if v] == ["9.5", "12.0"]


def test_a_page_asks_nothing_of_the_network():
    page = to_html({"tiny (cpu)": TABLE})
    assert "tiny (cpu)" in page and page.startswith("<!doctype html>")
    assert "http" not in page and "src=" not in page and "@import" not in page


def test_csv_keeps_full_precision():
    table = TABLE.assign(fid=[1 / 3, 2 / 3])
    back = pd.read_csv(io.StringIO(to_csv({"a": table, "b": TABLE})))
    assert list(back["experiment"]) == ["a", "a", "b", "b"]
    assert back["fid"][0] == 1 / 3


def test_latex_is_a_booktabs_table_with_caption_label_and_protocol():
    text = to_latex({"tiny_one (cpu)": TABLE})
    for line in (r"\toprule", r"\midrule", r"\bottomrule", r"\label{tab:tiny-one--cpu-}", r"\begin{tabular}{lrr}"):
        assert line in text
    assert r"<hinge> \& co & 3 & $9.5 \pm 2.5$ \\" in text
    assert r"lsgan & 1 & 12 \\" in text
    assert r"Protocol: n\_fake 10." in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex on this machine to set the table with")
def test_latex_sets_the_table(tmp_path):
    body = to_latex({r"odd_%&#${}~^\ name": TABLE})
    text = "\\documentclass{article}\\usepackage{booktabs}\\begin{document}" + body + "\\end{document}"
    (tmp_path / "t.tex").write_text(text)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-1500:]


def test_special_letters_are_escaped_once():
    assert escape_latex("50% of a_b & {x}\\") == r"50\% of a\_b \& \{x\}\textbackslash{}"


@pytest.mark.parametrize("name", ["t.html", "t.csv", "t.tex"])
def test_the_ending_decides(tmp_path, name):
    export({"tiny": TABLE}, tmp_path / name)
    start = {"html": "<!doctype", "csv": "experiment,", "tex": r"\begin{table}"}[name[2:]]
    assert (tmp_path / name).read_text().startswith(start)


def test_another_ending_and_an_unwritable_place_are_told(tmp_path):
    with pytest.raises(InputError, match="html, .csv, .tex"):
        export({"tiny": TABLE}, tmp_path / "t.xlsx")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="Cannot write"):
        export({"tiny": TABLE}, tmp_path / "file" / "t.csv")
