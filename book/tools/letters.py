"""The bibliography as pages cite it: two works of one year by the same authors are told apart by a letter.

"Gidel et al., 2019" could be either of two; as in print they become 2019a and 2019b. The file that is edited has plain
years, and the letters follow the titles.
"""

from __future__ import annotations

import re
from collections import defaultdict

YEAR = re.compile(r"^(\s*year\s*=\s*\{)(\d{4})(\})", re.MULTILINE)
ENTRY = re.compile(r"^@\w+\{([^,\s]+),", re.MULTILINE)


def lettered(bibliography: str) -> str:
    """The same BibTeX with a letter behind each year that authors and year alone do not make unique."""
    from pybtex.database import parse_string

    alike = defaultdict(list)
    for key, entry in parse_string(bibliography, "bibtex").entries.items():
        names = [" ".join(person.prelast_names + person.last_names) for person in entry.persons.get("author", [])]
        cited = names if len(names) < 3 else [names[0], "et al."]  # as the reference style shortens them
        alike[*cited, entry.fields.get("year")].append((entry.fields.get("title", ""), key))
    letters = {
        key: chr(ord("a") + place)
        for works in alike.values()
        if len(works) > 1
        for place, (_, key) in enumerate(sorted(works))
    }
    starts = [match.start() for match in ENTRY.finditer(bibliography)]
    parts = [bibliography[a:b] for a, b in zip([0, *starts], [*starts, None], strict=True)]
    return "".join(_with_letter(part, letters) for part in parts)


def _with_letter(entry: str, letters: dict[str, str]) -> str:
    match = ENTRY.match(entry)
    if match is None or match[1] not in letters:
        return entry
    return YEAR.sub(rf"\g<1>\g<2>{letters[match[1]]}\g<3>", entry, count=1)
