"""Tables for elsewhere: a page that sorts itself without a network, CSV, and LaTeX with booktabs for a thesis."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from ganbook.checkpoint import write_atomically
from ganbook.errors import InputError
from ganbook.tables import formatted, metrics_of, with_spread

SUFFIXES = (".html", ".csv", ".tex")
NOTE = "mean ± half of Student's 95% interval over n seeds"

STYLE = """body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
table { border-collapse: collapse; } th, td { padding: .3rem .8rem; text-align: left; border-bottom: 1px solid #ccc; }
@media (prefers-color-scheme: dark) { body { background: #111; color: #eee; } }"""
SORT_STYLE = """table.sortable th button { all: unset; cursor: pointer; font-weight: 600; }
table.sortable th button:focus-visible { outline: 2px solid; }
table.sortable th p { margin: 0; }
table.sortable { margin-left: 0; }
table.sortable th[aria-sort=ascending] button::after { content: " \\25b2"; }
table.sortable th[aria-sort=descending] button::after { content: " \\25bc"; }"""

# a click on a head sorts by that column, another one the other way round; numbers by value, the rest as text
SORT_SCRIPT = """const sortTables = () => document.querySelectorAll("table.sortable").forEach(table => {
  table.querySelectorAll("thead th").forEach((head, column) => {
    if (!head.textContent.trim()) return;  // a button must have a name
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      const key = row => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
      const number = text => parseFloat(text.replace(/,/g, ""));
      const order = (a, b) => {
        const [x, y] = [number(key(a)), number(key(b))];
        if (isNaN(x) || isNaN(y)) return key(a).localeCompare(key(b), undefined, { numeric: true });
        return x - y;
      };
      const rows = [...table.tBodies[0].rows].sort((a, b) => up ? order(a, b) : order(b, a));
      table.tBodies[0].append(...rows);
      table.querySelectorAll("th").forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
    });
  });
});
document.readyState === "loading" ? document.addEventListener("DOMContentLoaded", sortTables) : sortTables();
"""


def export(tables: Mapping[str, pd.DataFrame], path: Path) -> None:
    """Write `ganbook.tables.summary` tables by title to a file; its ending decides how.

    Raises:
        InputError: an ending other than .html, .csv or .tex.
        DataError: the file cannot be written.
    """
    if path.suffix not in SUFFIXES:
        raise InputError(f"Tables are written as {', '.join(SUFFIXES)}; {path} ends otherwise. Choose one.")
    write = {".html": to_html, ".csv": to_csv, ".tex": to_latex}[path.suffix]
    write_atomically(path, write(tables).encode())


def to_csv(tables: Mapping[str, pd.DataFrame]) -> str:
    """Numbers at full precision, the title of each table in the first column."""
    return str(pd.concat([t.assign(experiment=title) for title, t in tables.items()]).pipe(_first).to_csv(index=False))


def to_html(tables: Mapping[str, pd.DataFrame]) -> str:
    """A page of sortable tables that asks nothing of the network."""
    parts = [f"<h2>{html.escape(title)}</h2>\n{html_table(table)}" for title, table in tables.items()]
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Results</title><style>{STYLE}
{SORT_STYLE}</style>
<h1>Results</h1>
<p>{html.escape(NOTE)}. Click on a head to sort.</p>
{"".join(parts)}
<script>{SORT_SCRIPT}</script></html>
"""


def html_table(table: pd.DataFrame) -> str:
    """One `summary` as a sortable table; cells of metrics carry their mean as the value to sort by."""
    metrics = metrics_of(table)
    columns = list(formatted(table.head(0)).columns)
    head = "".join(f"<th scope=col>{html.escape(str(column).replace('_', ' '))}</th>" for column in columns)
    rows = []
    for row in table.to_dict("records"):
        cells = []
        for column in columns:
            value = row[column]
            if column in metrics:
                text = with_spread(float(value), float(row[f"{column}_ci"]))
                cells.append(f'<td data-value="{"" if math.isnan(value) else repr(float(value))}">{text}</td>')
            else:
                cells.append(f"<td>{html.escape(str(value))}</td>")
        rows.append(f"<tr>{''.join(cells)}</tr>")
    body = "\n".join(rows)
    return f'<table class="sortable"><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>\n'


def to_latex(tables: Mapping[str, pd.DataFrame]) -> str:
    """A table environment for each, ready to be taken into a thesis; needs ``\\usepackage{booktabs}``."""
    return "\n".join(_latex_table(title, table) for title, table in tables.items())


def _latex_table(title: str, table: pd.DataFrame) -> str:
    metrics = metrics_of(table)
    text = formatted(table)
    columns = [c for c in text.columns if c not in ("protocol", "scale")]
    protocols = "; ".join(dict.fromkeys(str(p) for p in text["protocol"] if p))
    head = " & ".join(escape_latex(str(c).replace("_", " ")) for c in columns)
    lines = []
    for row in text.to_dict("records"):
        cells = [escape_latex(str(row[c])) for c in columns]
        cells = [f"${c.replace('±', chr(92) + 'pm')}$" if "±" in c else c for c in cells]
        lines.append(" & ".join(cells).replace("–", "--") + r" \\")
    caption = f"{title}: {NOTE}." + (f" Protocol: {protocols}." if protocols else "")
    label = "".join(letter if letter.isalnum() else "-" for letter in title.lower())
    return "\n".join(
        [
            r"\begin{table}",
            r"  \centering",
            rf"  \caption{{{escape_latex(caption).replace('±', '$' + chr(92) + 'pm$')}}}",
            rf"  \label{{tab:{label}}}",
            rf"  \begin{{tabular}}{{{''.join('r' if c in metrics or c == 'n' else 'l' for c in columns)}}}",
            r"    \toprule",
            rf"    {head} \\",
            r"    \midrule",
            *(f"    {line}" for line in lines),
            r"    \bottomrule",
            r"  \end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def escape_latex(text: str) -> str:
    """Text in which LaTeX finds nothing to do."""
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    special |= {letter: "\\" + letter for letter in "&%$#_{}"}
    return "".join(special.get(letter, letter) for letter in text)


def _first(table: pd.DataFrame) -> pd.DataFrame:
    return table[["experiment", *(column for column in table.columns if column != "experiment")]]
