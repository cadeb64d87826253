"""Reference pages, written from the code itself: modules, the command line, parameters of experiments, how to cite."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from ganbook.batch import Experiment
from ganbook.notebooks import parameters_of

Staged = dict[str, Callable[[], bytes]]
Command = Any  # of click, of which typer brings a copy of its own
LIBRARY = Path("ganbook")


def reference(experiments: Mapping[str, Experiment]) -> Staged:
    """All reference pages that are made from code, by their place in the book."""
    texts: dict[str, Callable[[], str]] = {
        "reference/cli.md": command_line,
        "reference/parameters.md": partial(parameters, experiments),
        "reference/citing.md": citing,
        "reference/api.md": api_overview,
    }
    texts |= {f"reference/api/{module.stem}.md": partial(api_page, module) for module in modules()}
    return {name: partial(_encoded, text) for name, text in texts.items()}


def _encoded(text: Callable[[], str]) -> bytes:
    return (text().rstrip() + "\n").encode()


# ---- modules ---------------------------------------------------------------------------------------------------


def modules() -> list[Path]:
    """The library's modules and packages, without the private ones and the command line, which has its own page."""
    found = [p for p in LIBRARY.iterdir() if p.suffix == ".py" or (p / "__init__.py").is_file()]
    return sorted(p for p in found if not p.stem.startswith("_") and not p.stem.endswith("cli"))


def purpose(file: Path) -> str:
    """The first line of a module's docstring, or of its package's."""
    import ast

    text = ast.get_docstring(ast.parse((file / "__init__.py" if file.is_dir() else file).read_text()))
    return (text or "").partition("\n")[0]


def api_overview() -> str:
    """One row a module, in its own words."""
    rows = [f"| [`{LIBRARY.name}.{m.stem}`](api/{m.stem}.md) | {purpose(m).replace('|', '/')} |" for m in modules()]
    return f"""# Library

What the notebooks import. Each page is made from the docstrings of one module or package; shapes stand in the
signatures, sources in the text. Who may import whom is one rule: what stands higher in the layers of `pyproject.toml`
imports only what stands below.

| module | purpose |
|---|---|
{chr(10).join(rows)}
"""


def api_page(module: Path) -> str:
    """A module with its members, or a package with those of its public modules."""
    name = f"{LIBRARY.name}.{module.stem}"
    if module.suffix == ".py":
        return f"# {name}\n\n{_automodule(name, members=True)}"
    parts = [f"# {name}\n\n{_automodule(name, members=False)}"]
    for file in sorted(p for p in module.glob("*.py") if not p.stem.startswith("_")):
        parts.append(f"## {name}.{file.stem}\n\n{_automodule(f'{name}.{file.stem}', members=True)}")
    return "\n".join(parts)


def _automodule(name: str, *, members: bool) -> str:
    option = "\n   :members:" if members else ""
    return f"```{{eval-rst}}\n.. automodule:: {name}{option}\n```\n"


# ---- the command line ------------------------------------------------------------------------------------------


def command_line() -> str:
    """Every command with its arguments and options, as `--help` tells them."""
    import typer

    from ganbook.cli import app

    root = typer.main.get_command(app)
    parts = [_command(path, command) for path, command in _commands(root, ("ganbook",))]
    return f"""# Command line

`ganbook` does without a notebook what the notebooks do. A mistake that you can mend is told in one paragraph and exit
code 2; `ganbook COMMAND --help` shows what stands here.

{chr(10).join(parts)}"""


def _commands(command: Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Command]]:
    children: Mapping[str, Command] = getattr(command, "commands", {})
    if not children:
        yield path, command
    for name, child in children.items():
        yield from _commands(child, (*path, name))


def _command(path: tuple[str, ...], command: Command) -> str:
    import typer

    context = typer.Context(command, info_name=" ".join(path))
    usage = " ".join(command.collect_usage_pieces(context))
    rows = []
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and parameter.name != "help":
            name, text = (part.replace("|", "\\|") for part in record)
            rows.append(f"| `{name}` | {text.replace('[', '&#91;').replace('<', '&lt;')} |")
    table = "\n".join(["| parameter | meaning |", "|---|---|", *rows, ""]) if rows else ""
    words = (command.help or "").strip()
    return f"## {' '.join(path)}\n\n```text\n{' '.join(path)} {usage}\n```\n\n{words}\n\n{table}"


# ---- experiments -----------------------------------------------------------------------------------------------


def parameters(experiments: Mapping[str, Experiment]) -> str:
    """The parameters of each experiment with type, default and meaning, as papermill reads them off the notebook."""
    parts = []
    for experiment in experiments.values():
        page = experiment.notebook.relative_to("notebooks").with_suffix("")
        rows = ["| parameter | type | default | meaning |", "|---|---|---|---|"]
        for parameter in parameters_of(experiment.notebook).values():
            cells = [f"`{parameter.name}`", parameter.kind, f"`{parameter.default!r}`", parameter.help]
            rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        parts += [f"## [{experiment.title}](../{page}.ipynb)", "", f"`{experiment.notebook}`", "", *rows, ""]
    return f"""# Parameters of the experiments

Each experiment is a notebook with one cell of parameters. This page is papermill's own reading of those cells; any of
them can be set with `-p NAME VALUE` for `papermill`, and with `-p NAME=VALUE` for `ganbook run`
([how](../practice/batch.md)). A name or a type that does not fit is refused before anything trains. In the tables, G is
the generator and D the discriminator.

{chr(10).join(parts)}"""


# ---- how to cite -----------------------------------------------------------------------------------------------


def citing() -> str:
    """`CITATION.cff` as a reference and as BibTeX."""
    record = yaml.safe_load(Path("CITATION.cff").read_text())
    authors = " and ".join(a.get("name") or f"{a['given-names']} {a['family-names']}" for a in record["authors"])
    year = str(record["date-released"])[:4]
    fields = {"title": f"{{{record['title']}}}", "author": f"{{{authors}}}", "year": year}
    fields |= {"version": record["version"], "url": record.get("repository-code"), "doi": record.get("doi")}
    entry = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items() if value)
    has_doi = (
        f"Its DOI is `{record['doi']}`." if record.get("doi") else "It has no DOI yet: an archived release gives one."
    )
    return f"""# How to cite

{record["message"]}

> {authors} ({year}). *{record["title"]}*, version {record["version"]}.

```bibtex
@misc{{ganbook,
{entry}
}}
```

{has_doi} Say also which version you used, and for a number which run: its record names parameters, seed, code and
machine. [How to get each number again](../results/reproduce.md) lists them, and the works that the book builds on stand
in the [bibliography](../bibliography.md).

The record that reference managers read is `CITATION.cff` in the repository.
"""
