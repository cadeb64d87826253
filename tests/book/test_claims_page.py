"""The pages "Claims" and "Sources": each statement has its check, each row of the sources its place or stands open."""

from collections import Counter
from pathlib import Path

import nbformat
import pytest

from book.tools import claims
from book.tools.laws import Law, laws
from ganbook.data.catalog import CATALOG
from ganbook.errors import DataError
from ganbook.notebooks import read_notebook

ROOT = Path(__file__).parent.parent.parent
THEOREM = "```{prf:theorem} Two and two\n:label: thm-four\n\n$2+2=4$.\n```\n\n```{prf:proof}\nCount.\n```"
CLAIM_TAGS = ["claim", "keep_output", "nbval-check-output"]


def chapter(*cells: str) -> claims.Chapter:
    """A chapter of markdown cells; a cell that ends with ``print`` is a claim that printed what it prints."""
    notebook = nbformat.v4.new_notebook()
    notebook.cells.append(nbformat.v4.new_markdown_cell("# Sums\n\n## First"))
    for text in cells:
        last = text.splitlines()[-1]
        if last.startswith("print"):
            cell = nbformat.v4.new_code_cell(text, metadata={"tags": CLAIM_TAGS})
            cell.outputs = [nbformat.v4.new_output("stream", text=last[7:-2] + "\n")]
        else:
            cell = nbformat.v4.new_markdown_cell(text)
        notebook.cells.append(cell)
    return claims.read_chapter("theory/sums", notebook)


def test_a_statement_is_checked_by_the_next_claim_of_its_section():
    found = chapter(THEOREM, "Some words.", "print('four: yes')", "print('also five: yes')")
    assert found.title == "Sums"
    assert found.statements == (claims.Statement("theorem", "Two and two", "thm-four", True, "four: yes"),)
    assert found.other_checks == ("also five: yes",)
    assert claims.unchecked([found]) == []


def test_a_claim_may_name_the_statements_that_it_checks_and_the_others_wait_on():
    second = THEOREM.replace("thm-four", "thm-five")
    found = chapter(THEOREM, second, "# checks thm-five\nprint('five')", "print('four')", "print('six')")
    assert [s.check for s in found.statements] == ["four", "five"]
    assert found.other_checks == ("six",)
    algorithm = "```{prf:algorithm} Count\n:label: alg-a\n```"
    assert chapter(algorithm, "# checks alg-a\nprint('counted')").statements[0].check == "counted"


def test_a_claim_that_names_no_statement_before_it_stops_the_build():
    with pytest.raises(DataError, match="theory/sums: a claim says `# checks thm-five`"):
        chapter("# checks thm-five\nprint('five')", THEOREM)


@pytest.mark.parametrize("cells", [(THEOREM,), (THEOREM, "## Second", "print('four: yes')"), ("print('yes')", THEOREM)])
def test_a_statement_without_a_check_stops_the_build_and_is_named(cells):
    with pytest.raises(DataError, match="theory/sums: the theorem 'Two and two' has no check"):
        claims.pages([chapter(*cells)], ROOT / "book" / claims.SOURCES, set(), ROOT / "tests" / "material")


def test_a_proof_counts_for_the_statement_before_it_and_an_algorithm_needs_no_check():
    cited = "```{prf:lemma} Cited\n:label: lem-a\n```\n\n" + THEOREM
    found = chapter("```{prf:algorithm} Count\n:label: alg-a\n```", cited, "print('yes')")
    assert [(s.kind, s.proven, s.check) for s in found.statements] == [
        ("algorithm", False, ""),
        ("lemma", False, "yes"),
        ("theorem", True, "yes"),
    ]


def test_the_page_shows_statement_proof_and_check_and_no_markup_of_a_terminal():
    page = claims.claims_page([chapter(THEOREM, "print('a|b of *c* is $4: yes')")], [])
    assert "1 statements with a check each, and 0" in page
    assert "## [Sums](theory/sums.ipynb)" in page
    assert "| {prf:ref}`thm-four` | Two and two | here | a\\|b of \\*c\\* is \\$4: yes |" in page


@pytest.fixture
def sources(tmp_path):
    def write(shown: str) -> Path:
        path = tmp_path / "sources.yml"
        path.write_text(f"- name: A thesis\n  about: Somewhere.\n  rows:\n    S9.1: {{asks: Sums, shown: {shown}}}\n")
        return path

    return write


def sources_page(path: Path) -> str:
    found = claims.pages([chapter(THEOREM, "print('yes')")], path, {"theory/sums", "data/mnist"}, path.parent)
    return found["sources.md"]().decode()


def test_a_row_links_to_its_places_or_is_open(sources):
    page = sources_page(sources("[theory/sums#thm-four, data/mnist]"))
    assert "| S9.1 | Sums | [Sums](theory/sums.ipynb), {prf:ref}`thm-four`; [](data/mnist.md) | yes |" in page
    assert "Each of the 1 things that they show, ask or leave open has its place here." in page
    page = sources_page(sources("[]"))
    assert "Of the 1 things that they show, ask or leave open, 0 have" in page
    assert "| S9.1 | Sums | *open* | – |" in page
    assert "| S9.1 | Sums | [Sums](theory/sums.ipynb) | 1 check in Sums |" in sources_page(sources("[theory/sums]"))


@pytest.mark.parametrize(
    ("shown", "told"),
    [
        ("[theory/products]", r"row S9\.1: the page 'theory/products' is not in the book"),
        ("[theory/sums#thm-five]", r"row S9\.1: the statement 'thm-five' is not in the book"),
        ("theory/sums", "is not as expected"),
    ],
)
def test_a_place_that_does_not_exist_stops_the_build(sources, shown, told):
    with pytest.raises(DataError, match=told):
        sources_page(sources(shown))


@pytest.fixture(scope="module")
def chapters() -> list[claims.Chapter]:
    """The book's own chapters as scripts, each claim having printed something."""
    found = []
    for script in sorted((ROOT / "notebooks").glob("*/*.py")):
        notebook = read_notebook(script)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs = [nbformat.v4.new_output("stream", text="yes")]
        page = script.relative_to(ROOT / "notebooks").with_suffix("").as_posix()
        found.append(claims.read_chapter(page, notebook))
    return found


def test_every_statement_of_the_book_has_its_check_and_every_place_named_for_a_source_exists(chapters):
    assert sum(len(c.statements) for c in chapters) > 40
    folders = (ROOT / "book", ROOT / "book" / "practice")
    static = {p.relative_to(ROOT / "book").with_suffix("").as_posix() for f in folders for p in f.glob("*.md")}
    cards = {f"data/{name}" for name in ("index", *CATALOG)}
    known = {c.page for c in chapters} | static | cards | {"results/index", "results/thesis"}
    assert set(claims.pages(chapters, ROOT / "book" / claims.SOURCES, known, ROOT / "tests")) == {
        "claims.md",
        "sources.md",
    }


def test_labels_are_unique_over_the_book(chapters):
    labels = [s.label for c in chapters for s in c.statements]
    assert len(set(labels)) == len(labels)
    assert all(labels)


def test_the_rows_of_the_five_sources_are_complete():
    sources = claims.read_sources(ROOT / "book" / claims.SOURCES)
    counts = {0: 4, 1: 9, 2: 6, 3: 3, 4: 17}
    assert [list(source["rows"]) for source in sources] == [
        [f"S{number}.{row}" for row in range(1, count + 1)] for number, count in counts.items()
    ]


def written(folder: Path, mark: str) -> Path:
    folder /= "tests"
    folder.mkdir(parents=True)
    (folder / "test_sums.py").write_text(f"import pytest\n\n\n{mark}\ndef test_two_and_two_are_four():\n    pass\n")
    return folder


def test_tests_that_hold_a_chapters_laws_stand_on_the_page(tmp_path):
    held = laws(written(tmp_path, '@pytest.mark.chapter(name="sums")'), ["sums"])
    assert held == [Law("sums", "tests/test_sums.py", "two_and_two_are_four")]
    page = claims.claims_page([chapter(THEOREM, "print('yes')")], held)
    assert "1 tests carry" in page and "- `tests/test_sums.py`: two and two are four" in page
    assert laws(written(tmp_path / "other", "@pytest.mark.long"), ["sums"]) == []


@pytest.mark.parametrize("arguments", ['name="products"', '"sums"', "", 'name="sums", again=1'])
def test_a_mark_that_names_no_chapter_stops_the_build_with_its_place(tmp_path, arguments):
    with pytest.raises(DataError, match=r"tests/test_sums\.py:4: .*names no chapter\. A mark reads"):
        laws(written(tmp_path, f"@pytest.mark.chapter({arguments})"), ["sums"])


def test_every_theory_chapter_with_laws_in_the_library_has_tests_of_them():
    names = [path.stem for path in sorted((ROOT / "notebooks" / "theory").glob("*.py"))]
    count = Counter(law.chapter for law in laws(ROOT / "tests", names))
    # 00 and 02 teach with code of their own, 11 is a survey
    assert {name[:2] for name in names if count[name] < 3} == {"00", "02", "11"}
