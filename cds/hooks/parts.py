"""What every card is made of: one line of summary, codings, the source, links, override reasons.

CDS Hooks 2.0: no null or empty member, summaries below 140 characters, absolute links.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from cds import codes
from cds.domain.coding import Coding
from cds.domain.recommendation import Advice, Source

Json = dict[str, object]

#: "a < 140 summary message" (CDS Hooks 2.0, card attributes).
LONGEST_SUMMARY = 139
_UNREADABLE = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]+")

FINDINGS = Coding(codes.SIGHTLINE_TOPIC, "imaging-findings", "Findings on images")
ORDERS = Coding(codes.SIGHTLINE_TOPIC, "imaging-orders", "Imaging orders")

#: The AI saw what is not there, or not what is: feeds monitoring.
AI_FINDING_WRONG = Coding(codes.SIGHTLINE_OVERRIDE, "ai-finding-wrong", "The AI finding is wrong")
ALREADY_KNOWN = Coding(codes.SIGHTLINE_OVERRIDE, "already-known", "Already known")
#: Snoozes the card.
LATER = Coding(codes.SIGHTLINE_OVERRIDE, "later", "Remind me later")
#: THO, ValueSet non-adherence-reason-clinical: the reasons that fit a suggested test or visit.
_CLINICAL = (
    Coding(codes.OVERRIDE_REASONS, "action-completed", "Recommended action was already completed"),
    Coding(codes.OVERRIDE_REASONS, "cds-not-applicable", "PC CDS does not apply to patient"),
    Coding(
        codes.OVERRIDE_REASONS,
        "recipient-disagrees-evidence",
        "Recipient disagrees with recommendation because of issues with the evidence",
    ),
    Coding(codes.OVERRIDE_REASONS, "patient-contraindication", "Patient has contraindication to recommended action"),
    Coding(codes.OVERRIDE_REASONS, "patient-refuses", "Patient refuses/declines (no context given)*"),
    Coding(codes.OVERRIDE_REASONS, "service-not-available", "Treatment or service is not practically available"),
)
FINDING_REASONS = (ALREADY_KNOWN, AI_FINDING_WRONG, LATER, *_CLINICAL)
ORDER_REASONS = (ALREADY_KNOWN, *_CLINICAL)


@dataclass(frozen=True, slots=True)
class Site:
    """Who speaks, and where its links lead; `launches` where the study page can be launched from this EHR (SMART)."""

    name: str
    public_url: str
    launches: bool = False
    #: Where the pages are, where that is another address.
    pages_url: str = ""


def summary(text: str) -> str:
    """One line of at most 139 characters."""
    whole = line(text)
    return whole if len(whole) <= LONGEST_SUMMARY else whole[: LONGEST_SUMMARY - 1].rstrip() + "…"


def line(text: str) -> str:
    """Text without line breaks and what nobody sees."""
    return _UNREADABLE.sub(" ", text).strip()


def coding(one: Coding) -> Json:
    """A Coding without empty members."""
    members = {"system": one.system, "code": one.code, "display": one.display}
    return {name: value for name, value in members.items() if value}


def source(site: Site, topic: Coding, label: str) -> Json:
    """A source that is Sightline itself."""
    return {"label": f"{site.name}: {label}", "url": site.public_url, "topic": coding(topic)}


def guideline(site: Site, topic: Coding, said: Advice) -> Json:
    """A source that is the guideline of an advice."""
    return {
        "label": f"{site.name}: {said.title} ({said.source.label})",
        "url": said.source.url,
        "topic": coding(topic),
    }


def reasons(offered: tuple[Coding, ...]) -> list[Json]:
    """Override reasons; each has a display, as the standard demands."""
    return [coding(reason) for reason in offered]


def absolute(label: str, url: str) -> Json:
    """A link as it is."""
    return {"label": label, "url": url, "type": "absolute"}


def to_source(of: Source) -> Json:
    """A link to what a rule comes from."""
    return absolute(of.label, of.url)


def launch(site: Site, study: str) -> Json:
    """A link to the study page, launched by the EHR with `study` (its public id) as appContext."""
    return {
        "label": "Findings and advice in Sightline",
        "url": f"{site.pages_url or site.public_url}/smart/launch",
        "type": "smart",
        "appContext": json.dumps({"study": study}, separators=(",", ":")),
    }
