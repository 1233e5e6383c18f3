"""Check digits of the code systems that have them: a code that fails was mistyped or made up."""

from __future__ import annotations

import re
from functools import lru_cache

#: Verhoeff 1969: multiplication in the dihedral group D5; SNOMED CT Technical Implementation Guide, appendix.
_D5 = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
    (1, 2, 3, 4, 0, 6, 7, 8, 9, 5),
    (2, 3, 4, 0, 1, 7, 8, 9, 5, 6),
    (3, 4, 0, 1, 2, 8, 9, 5, 6, 7),
    (4, 0, 1, 2, 3, 9, 5, 6, 7, 8),
    (5, 9, 8, 7, 6, 0, 4, 3, 2, 1),
    (6, 5, 9, 8, 7, 1, 0, 4, 3, 2),
    (7, 6, 5, 9, 8, 2, 1, 0, 4, 3),
    (8, 7, 6, 5, 9, 3, 2, 1, 0, 4),
    (9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
)
_PERMUTATION = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)
#: 6 to 18 digits; the two before the check digit say that it is a concept (00, of an extension 10).
_CONCEPT = re.compile(r"[1-9]\d{2,14}[01]0\d")
_LOINC = re.compile(r"((?:LP|LA|LL|LG)?\d{1,8})-(\d)")


@lru_cache(maxsize=4096)
def snomed(code: str) -> bool:
    """True for the identifier of a SNOMED CT concept whose check digit is right."""
    if not _CONCEPT.fullmatch(code):
        return False
    check = 0
    for place, character in enumerate(reversed(code)):
        digit = int(character)
        for _ in range(place % 8):
            digit = _PERMUTATION[digit]
        check = _D5[check][digit]
    return check == 0


@lru_cache(maxsize=4096)
def loinc(code: str) -> bool:
    """True for a LOINC code (also of a part, answer or answer list) whose check digit is right.

    Mod 10 (LOINC Users' Guide, calculating the check digit); letters count as their distance from "0" in ASCII.
    """
    found = _LOINC.fullmatch(code)
    if not found:
        return False
    values = [ord(character) - ord("0") for character in reversed(found[1])]
    weighed = [value if place % 2 else sum(divmod(2 * value, 10)) for place, value in enumerate(values)]
    return (sum(weighed) + int(found[2])) % 10 == 0
