"""Which files a notebook depends on."""

from pathlib import Path

from ganbook.sources import PACKAGE, digest, sources


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def package(root: Path) -> Path:
    """A package `small`: a imports b inside a function, b imports sub.c; lonely is imported by nobody."""
    write(root / "small/__init__.py", "")
    write(root / "small/a.py", "def f():\n    from small import b\n    return b\n")
    write(root / "small/b.py", "import small.sub.c\n")
    write(root / "small/sub/__init__.py", "")
    write(root / "small/sub/c.py", "import json\n")
    write(root / "small/lonely.py", "")
    return root / "small"


def names(files, root):
    return [str(file.relative_to(root)) for file in files]


def test_imports_are_followed_through_modules_and_functions(tmp_path):
    notebook = write(tmp_path / "n.py", "# %%\n%matplotlib inline\nif True:\n    from small.a import f\n")
    found = names(sources(notebook, package(tmp_path)), tmp_path)
    assert found == ["n.py", "small/__init__.py", "small/a.py", "small/b.py", "small/sub/__init__.py", "small/sub/c.py"]


def test_the_digest_changes_with_what_is_imported_and_only_with_that(tmp_path):
    root = package(tmp_path)
    notebook = write(tmp_path / "n.py", "import small.a\n")
    before = digest(sources(notebook, root))
    write(root / "lonely.py", "x = 1\n")
    assert digest(sources(notebook, root)) == before
    write(root / "sub/c.py", "import math\n")
    assert digest(sources(notebook, root)) != before


def test_the_embedded_data_counts_where_the_data_module_is_imported(tmp_path):
    with_data = sources(write(tmp_path / "with.py", "from ganbook import data\n"))
    without = sources(write(tmp_path / "without.py", "import ganbook.losses\n"))
    embedded = PACKAGE.parent / "data"
    assert any(file.is_relative_to(embedded) for file in with_data)
    assert not any(file.is_relative_to(embedded) for file in without)


def test_the_command_line_and_the_pages_touch_no_run():
    root = Path(__file__).parent.parent
    for notebook in (root / "notebooks").rglob("*.py"):
        stems = {file.stem for file in sources(notebook) if file.suffix == ".py"}
        compares = "kept_records" in notebook.read_text() or "ladder" in stems
        comparing = {"results"} if compares else set()  # their tables are made of records
        assert not stems & ({"cli", "batch", "batch_cli", "results", "notebooks"} - comparing)


def test_a_measurement_that_a_notebook_reads_counts(tmp_path):
    package = tmp_path / "ganbook"
    package.mkdir()
    (package / "__init__.py").write_text("")
    notebook = tmp_path / "n.py"
    notebook.write_text('record = open(ROOT / "book/measurements/faces-64.json")\n')
    assert sources(notebook, package) == [notebook, tmp_path / "book/measurements/faces-64.json"]


def test_a_table_of_the_book_that_a_notebook_reads_counts(tmp_path):
    package = tmp_path / "ganbook"
    package.mkdir()
    (package / "__init__.py").write_text("")
    notebook = tmp_path / "n.py"
    notebook.write_text('rows = yaml.safe_load((ROOT / "book/animals.yml").read_text())\n')
    assert sources(notebook, package) == [notebook, tmp_path / "book/animals.yml"]
