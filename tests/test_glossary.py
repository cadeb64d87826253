"""The glossary: every term in four languages, each in its own letters, with a chapter that exists, in order."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LINK = re.compile(r"\[[^\]]+\]\(([\w/]+)\)")
FOREIGN = {"Русский": "іўїєґ", "Українська": "ыэъёў", "Беларуская": "ищъїєґ"}  # letters that the language does not have


def rows(page: str) -> list[dict[str, str]]:
    """Each line of the table, by the heads of its columns."""
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("| ")
    ]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]


def strays(page: str) -> list[str]:
    """Terms in letters of another language, or in none of theirs."""
    return [
        f"{row['English']}: {row[language]}"
        for row in rows(page)
        for language, letters in FOREIGN.items()
        if set(row[language].lower()) & set(letters) or not re.search("[а-яёіўїєґ]", row[language].lower())
    ]


PAGE = (ROOT / "book" / "glossary.md").read_text()


def test_every_term_stands_in_four_languages_in_order_and_once():
    terms = [row["English"].lower() for row in rows(PAGE)]
    assert len(terms) > 90
    assert terms == sorted(set(terms))
    assert all(all(row.values()) for row in rows(PAGE))


def test_every_term_is_written_in_the_letters_of_its_language():
    assert strays(PAGE) == []


@pytest.mark.parametrize(
    ("right", "wrong"), [("шчыльнасць", "щильнасць"), ("густина", "густына"), ("плотность", "плотнiсть")]
)
def test_a_letter_of_another_language_is_found(right, wrong):
    wrong = wrong.replace("i", "і")
    assert right in PAGE
    assert len(strays(PAGE.replace(right, wrong))) == 1


def test_every_term_links_to_a_chapter_that_exists():
    for row in rows(PAGE):
        (page,) = LINK.findall(row["chapter"])
        assert (ROOT / "notebooks" / f"{page}.py").is_file(), row["English"]
