"""What a series description says of contrast medium, in the words of English and German departments."""

from __future__ import annotations

import re
from typing import Literal

_AGENT = r"(?:i\.?v\.?[ _-]*)?(?:contrast|kontrast\w*|contraste|km\b|kontrastmittel|gd\b|gad\w*)"
_GIVEN = re.compile(
    rf"""
      \b(?:with|w/|w|mit|post|nach|avec|con)[ _-]*{_AGENT}
    | \b(?:with|w|mit)[ /&+]*(?:and|und)?[ /&+]*(?:without|w/?o|ohne)\b
    | (?:^|[\s_(-])c\+ | \+[ ]?c(?:\b|_) | \+[ ]?(?:km|gd|contrast)\b
    | \b(?:contrast|kontrast)[ _-]?enhanced\b
    | (?<![a-z])(?:cta|ctpa|cect|ce-?mra|ct[ _-]?angio\w*)(?![a-z])
    | (?<![a-z])(?:portal[ _-]?ven\w*|(?:arterial|venous|delayed)[ _-]?phase|arteriell\w*|ven(?:ö|oe)s\w*)
    """,
    re.IGNORECASE | re.VERBOSE,
)
_NOT_GIVEN = re.compile(
    rf"""
      \b(?:without|w/?o|ohne|sans|sin|non|no)[ _-]*{_AGENT}
    | \bnon[ _-]?con\b | \b(?:un|non[ _-]?)enhanced\b | (?<![a-z])(?:ncct|nect)(?![a-z])
    | (?<![a-z])nati[fv]\w* | (?<![a-z])plain(?![a-z]) | (?:^|[\s_(])c-(?![a-z0-9])
    """,
    re.IGNORECASE | re.VERBOSE,
)


def contrast_told(description: str) -> Literal["yes", "no", "unknown"]:
    """ "yes" or "no" where a description clearly says it; "unknown" where it says nothing, or both ("W/WO")."""
    given, not_given = bool(_GIVEN.search(description)), bool(_NOT_GIVEN.search(description))
    if given == not_given:
        return "unknown"
    return "yes" if given else "no"
