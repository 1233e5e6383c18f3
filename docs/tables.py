"""Writes the tables of docs/lifecycle.md that the code decides: `.venv/bin/python docs/tables.py`.

A test holds the file to `rendered`, so that neither can change alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from cds.domain.hold import ACTIONS, Action, HoldKind
from cds.domain.lifecycle import TABLE

LIFECYCLE = Path(__file__).with_name("lifecycle.md")

KINDS = {
    HoldKind.MATCH_IN_DOUBT: "order and images contradict each other, or orders of several patients fit",
    HoldKind.MATCH_PROPOSED: "images without an order, and one order that they may belong to",
    HoldKind.STUDY_IDENTITY: "the images of one study name two patients or two orders",
    HoldKind.INSTANCE_CONFLICT: "an image came again under its UID with other pixels",
    HoldKind.ORDER_CANCELLED: "the order was cancelled after its images came",
    HoldKind.VISIT_CANCELLED: "the visit of the order was cancelled after its images came",
    HoldKind.WRONG_PATIENT: "a person said that the images are of another patient",
    HoldKind.DISCORDANT: "the radiologist's report contradicts findings that nobody has verified",
    HoldKind.QUARANTINED: "an HL7 message that cannot be read, or that may speak of somebody else",
    HoldKind.WORK_FAILED: "a step of a study cannot succeed",
    HoldKind.DELIVERY_REFUSED: "a destination refused a delivery for good",
    HoldKind.DELIVERY_NOT_ENCODED: "a report cannot be written for a destination, or not be taken back there",
    HoldKind.RETRIEVAL_FAILED: "a study that was announced cannot be fetched from a PACS",
    HoldKind.COMMITMENT_FAILED: "a PACS does not promise to keep what it was sent",
    HoldKind.NOTICE_FAILED: "something that a FHIR server told cannot be read or taken",
    HoldKind.CRITICAL_UNACKNOWLEDGED: "a critical result that nobody acknowledged, or that nobody can be told",
    HoldKind.CRITICAL_LATE: "a critical finding on images that are too old to alert as new",
}
MEANINGS = {
    Action.ATTACH: "the images belong to the order that `--to` names",
    Action.LEAVE: "the images have no order here: for the radiologist alone",
    Action.RETRACT: "nobody may see the result; what was sent is taken back",
    Action.USE_NEW: "the image that came later counts; the study runs again",
    Action.KEEP_FIRST: "the image that came first counts; the other is removed",
    Action.APPLY: "the message is applied all the same",
    Action.DISCARD: "the message changes nothing",
    Action.RUN_AGAIN: "what failed is tried again: a study, a fetch, an encoding, a notification",
    Action.SEND_AGAIN: "the same bytes are sent again",
    Action.GIVE_UP: "nothing more happens",
    Action.ACKNOWLEDGE: "a person has seen it",
}


def rendered(text: str) -> str:
    """The document with its tables as the code has them now."""
    for name, table in (("events", _events()), ("holds", _holds()), ("actions", _actions())):
        pattern = rf"(<!-- table: {name} -->\n).*?(\n<!-- end -->)"
        text, found = re.subn(pattern, lambda m, t=table: m[1] + t + m[2], text, flags=re.DOTALL)
        if found != 1:
            raise ValueError(f"want one table {name} between its marks, found {found}")
    return text


def _events() -> str:
    rows = ((row.title, row.before, "; ".join(effect.value for effect in row.effects)) for row in TABLE)
    return _table(("event", "before", "what happens"), rows)


def _holds() -> str:
    rows = ((f"`{kind.value}`", KINDS[kind], _named(ACTIONS[kind])) for kind in HoldKind)
    return _table(("kind", "what waits", "actions, the safest first"), rows)


def _actions() -> str:
    return _table(("action", "what it does"), ((f"`{action.value}`", MEANINGS[action]) for action in Action))


def _named(actions: Iterable[Action]) -> str:
    return ", ".join(f"`{action.value}`" for action in actions)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines).replace("| --- |", "|---|").replace(" --- |", "---|")


if __name__ == "__main__":
    LIFECYCLE.write_text(rendered(LIFECYCLE.read_text()))
