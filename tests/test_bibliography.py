"""The bibliography: each source can be found, its numbers are well formed and its key says whose it is and of when."""

import codecs
import re
import unicodedata
from pathlib import Path

import latexcodec  # noqa: F401 (the codec "ulatex")
import pytest
from pybtex.database import BibliographyData, Entry, parse_file, parse_string

from book.tools.letters import lettered

BOOK = Path(__file__).parent.parent / "book"
SOURCES = parse_file(str(BOOK / "references.bib"))
DOI = re.compile(r"10\.\d{4,9}/[^\s{}]+")
ARXIV = re.compile(r"(\d\d)(0[1-9]|1[0-2])\.(\d{4,5})")
URL = re.compile(r"https?://[\w.-]+\.\w+/\S*")
KEY = re.compile(r"([a-z]+)((?:19|20)\d\d)([a-z]+)")
LATER = {"krizhevsky2012imagenet": 2017}  # of a conference in 2012, cited as the journal printed it
WORDS = {
    "a",
    "an",
    "the",
    "on",
    "do",
    "are",
    "is",
    "of",
    "in",
    "from",
    "how",
}  # a key may begin with them or pass them over


def plain(text: str) -> str:
    """Letters of a field: TeX's commands, accents and punctuation gone."""
    text = codecs.decode(text, "ulatex").replace("ø", "o").replace("ł", "l")
    text = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in text.lower() if letter.isascii() and (letter.isalnum() or letter == " "))


def arxiv_numbers(entry: Entry) -> list[str]:
    """Numbers after 'arXiv:' in the note, and the eprint."""
    return re.findall(r"arXiv:(\S+?)[.,;]?(?:\s|$)", entry.fields.get("note", "")) + [
        entry.fields[name] for name in ("eprint",) if name in entry.fields
    ]


def valid_isbn(isbn: str) -> bool:
    """Whether the check digit of an ISBN of ten digits is right."""
    digits = [10 if d == "X" else int(d) for d in re.sub(r"[- ]", "", isbn) if d.isdigit() or d == "X"]
    return len(digits) == 10 and sum(w * d for w, d in zip(range(10, 0, -1), digits)) % 11 == 0


def faults(sources: BibliographyData) -> list[str]:
    """What is wrong, in words, each after the key."""
    found = []
    for key, entry in sources.entries.items():
        fields, numbers = entry.fields, arxiv_numbers(entry)
        doi, url = fields.get("doi"), fields.get("url")
        isbn = fields.get("isbn")  # for what was only printed
        if not (doi or url or numbers or isbn):
            found.append(f"{key}: neither doi nor arXiv number nor url")
        if isbn is not None and not valid_isbn(isbn):
            found.append(f"{key}: not an isbn: {isbn}")
        if doi is not None and not DOI.fullmatch(doi):
            found.append(f"{key}: not a doi: {doi}")
        if url is not None and not URL.fullmatch(url):
            found.append(f"{key}: not an address: {url}")
        year = int(fields["year"])
        for number in numbers:
            parts = ARXIV.fullmatch(number)
            if not parts or (len(parts[3]) == 5) != (int(parts[1]) >= 15):  # five digits since 2015
                found.append(f"{key}: not an arXiv number: {number}")
            elif not -1 <= year - 2000 - int(parts[1]) <= 3:
                found.append(f"{key}: of {year}, and on arXiv in 20{parts[1]}")
        found += [f"{key}: {fault}" for fault in badly_named(key, entry)]
    return found


def badly_named(key: str, entry: Entry) -> list[str]:
    """What the key says against the entry: author, year and a word of the title."""
    if not entry.persons.get("author"):
        return ["no author"]
    parts = KEY.fullmatch(key)
    if not parts:
        return [] if entry.type == "misc" and "url" in entry.fields else ["the key is not author, year, word"]
    author = plain(" ".join(entry.persons["author"][0].prelast_names + entry.persons["author"][0].last_names))
    said = []
    if not author.replace(" ", "").startswith(parts[1]):
        said.append(f"the first author is {author}")
    if int(entry.fields["year"]) != LATER.get(key, int(parts[2])):
        said.append(f"the year is {entry.fields['year']}")
    words = plain(entry.fields["title"].replace("-", " ").replace(":", " ")).split()
    first = [*words[: 1 + next((i for i, w in enumerate(words) if w not in WORDS), 0)], "".join(words[:2])]
    if not any(word.startswith(parts[3]) for word in first):
        said.append(f"the title begins with {' '.join(first)}")
    return said


def test_every_source_can_be_found_and_is_well_formed():
    assert faults(SOURCES) == []


def test_works_of_the_same_authors_and_year_get_a_letter_by_title_and_others_none():
    one = GOOD.replace(", year", ",\n  year")
    lone = one.replace("kingma2015adam", "lone").replace("2015", "2016")
    first = one.replace("kingma2015adam", "first").replace("{Adam", "{Aardvark")
    found = parse_string(lettered("\n\n".join((one, lone, first))), "bibtex").entries
    years = {key: entry.fields["year"] for key, entry in found.items()}
    assert years == {"kingma2015adam": "2015b", "lone": "2016", "first": "2015a"}


def test_of_all_sources_no_two_are_cited_alike():
    with_letters = parse_string(lettered((BOOK / "references.bib").read_text()), "bibtex").entries
    assert len(with_letters) == len(SOURCES.entries)
    seen = set()
    for key, entry in with_letters.items():
        names = [" ".join(p.last_names) for p in entry.persons["author"]]
        cited = (*(names if len(names) < 3 else [names[0], "et al."]), entry.fields["year"])
        assert cited not in seen, key
        seen.add(cited)
        assert entry.fields["year"][:4] == SOURCES.entries[key].fields["year"]


def test_no_source_stands_twice():
    seen: dict[str, str] = {}
    for key, entry in SOURCES.entries.items():
        for number in [*arxiv_numbers(entry), entry.fields.get("doi", key)]:
            assert seen.setdefault(number.lower(), key) == key, f"{key} is {seen[number.lower()]}"


GOOD = """@inproceedings{kingma2015adam, author = {Kingma, Diederik P. and Ba, Jimmy}, title = {Adam: A Method for
Stochastic Optimization}, year = {2015}, note = {arXiv:1412.6980}}"""


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("note = {arXiv:1412.6980}", "pages = {1}", "neither doi"),
        ("arXiv:1412.6980", "arXiv:1412.06980", "not an arXiv number"),
        ("arXiv:1412.6980", "arXiv:1413.6980", "not an arXiv number"),
        ("arXiv:1412.6980", "arXiv:0902.6980", "on arXiv in 2009"),
        ("note = {arXiv:1412.6980}", "doi = {https://doi.org/10.1/x}", "not a doi"),
        ("note = {arXiv:1412.6980}", "url = {example.org}", "not an address"),
        ("note = {arXiv:1412.6980}", "isbn = {0-471-59897-7}", "not an isbn"),
        ("Kingma, Diederik", "Ba, Diederik", "the first author is ba"),
        ("year = {2015}", "year = {2016}", "the year is 2016"),
        ("{Adam: A Method", "{The Method", "the title begins with"),
        ("kingma2015adam", "adam", "not author, year, word"),
    ],
)
def test_a_fault_is_found(right, wrong, said):
    assert faults(parse_string(GOOD, "bibtex")) == []
    assert right in GOOD
    spoiled = parse_string(GOOD.replace(right, wrong, 1), "bibtex")
    assert any(said in fault for fault in faults(spoiled)), faults(spoiled)


def test_every_source_that_a_page_or_chapter_cites_is_there():
    pages = [*BOOK.glob("*.md"), *(BOOK.parent / "notebooks").rglob("*.py")]
    cited = {
        key.strip()
        for page in pages
        for keys in re.findall(r"\{cite(?::[pt])?\}`([^`{}]+)`", page.read_text())
        for key in keys.split(",")
    }
    assert len(cited) > 50
    assert cited - set(SOURCES.entries) == set()
