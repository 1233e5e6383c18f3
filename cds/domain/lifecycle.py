"""What happens to a study, and what it does: the event table of SAFETY section 3, which code, tests and docs share.

`TABLE` is the only place that says what an event does. The store and the pipeline look their event up and carry out
its effects; `tests/lifecycle` has one scenario per row, and `docs/lifecycle.md` prints the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Event(StrEnum):
    """Something that an edge heard, or a person did, about a study."""

    ORDER_AFTER_IMAGES = "order-after-images"
    ORDER_CHANGED = "order-changed"
    PATIENT_CHANGED = "patient-changed"
    CANCEL_BEFORE_IMAGES = "cancel-before-images"
    CANCEL_AFTER_IMAGES = "cancel-after-images"
    LATE_INSTANCE = "late-instance"
    SAME_INSTANCE = "same-instance"
    HEADER_CHANGED = "header-changed"
    PIXELS_CHANGED = "pixels-changed"
    REJECTED = "rejected"
    OWN_INSTANCE = "own-instance"
    UNREAD_INSTANCE = "unread-instance"
    FINAL_REPORT = "final-report"
    VERIFIED = "verified"
    WRONG_PATIENT = "wrong-patient"
    TEST_MESSAGE = "test-message"
    OLD_RESULT = "old-result"


class Effect(StrEnum):
    """One consequence. Each has one function that carries it out."""

    MATCH_AGAIN = "match revision +1: match and decide again, with the same findings"
    RUN_AGAIN = "image revision +1: run again, version +1, preliminary again"
    CLOSE_ORDER = "the order is closed; a late NW does not revive it"
    DETACH = "the order is detached; the findings stay, a critical one is never suppressed"
    ASK = "held: a person is asked"
    UPDATE_HEADER = "the header is updated; the images stay"
    DROP_INSTANCES = "those instances leave the study"
    RETRACT = "what was sent is retracted where it was sent"
    RECORD_VERIFICATION = "recorded on the finding; the AI report stays preliminary"
    LINK_FINAL_REPORT = "linked; agreement or discordance recorded; the worklist bump ends"
    WITHHOLD_CONTRADICTED = "unconfirmed findings that it contradicts are withheld, the radiologist is told"
    TELL_WHO_SAW = "an alert to whoever saw it"
    TEST_ONLY = "processed as a test; no production sink gets it"
    NO_ALERT_AS_NEW = "no critical alert as new; it says when the images were made"
    NOTHING = "ignored: no revision, no report"


@dataclass(frozen=True, slots=True)
class Row:
    """One row: an event, when it counts, and what it does. `title` is the sentence of the specification."""

    event: Event
    title: str
    before: str
    effects: tuple[Effect, ...]

    def does(self, effect: Effect) -> bool:
        """True where the event has this effect."""
        return effect in self.effects


TABLE: tuple[Row, ...] = (
    Row(Event.ORDER_AFTER_IMAGES, "order NW after images", "images waiting or reported", (Effect.MATCH_AGAIN,)),
    Row(Event.ORDER_CHANGED, "order changed (XO) or late order", "reported", (Effect.MATCH_AGAIN,)),
    Row(
        Event.PATIENT_CHANGED, "patient merged, moved, linked or corrected", "reported",
        (Effect.MATCH_AGAIN, Effect.RETRACT),
    ),
    Row(
        Event.CANCEL_BEFORE_IMAGES, "cancel or discontinue (CA, DC, OC, CR) before images", "waiting",
        (Effect.CLOSE_ORDER,),
    ),
    Row(
        Event.CANCEL_AFTER_IMAGES, "cancel after images exist", "running or reported",
        (Effect.CLOSE_ORDER, Effect.DETACH, Effect.ASK, Effect.MATCH_AGAIN),
    ),
    Row(
        Event.LATE_INSTANCE, "late or corrected instance that a model consumes", "preliminary", (Effect.RUN_AGAIN,)
    ),
    Row(Event.SAME_INSTANCE, "same instance again", "any", (Effect.NOTHING,)),
    Row(
        Event.HEADER_CHANGED, "same UID again, same pixels, other header", "any",
        (Effect.UPDATE_HEADER, Effect.MATCH_AGAIN, Effect.RETRACT),
    ),
    Row(Event.PIXELS_CHANGED, "same UID, other pixels", "any", (Effect.ASK,)),
    Row(
        Event.REJECTED, "rejection note (IOCM 113001, 113037, 113038, 113039)", "any",
        (Effect.DROP_INSTANCES, Effect.RUN_AGAIN, Effect.RETRACT),
    ),
    Row(Event.OWN_INSTANCE, "a series that Sightline itself made comes back", "any", (Effect.NOTHING,)),
    Row(Event.UNREAD_INSTANCE, "technologist reformats that no model consumes", "any", (Effect.NOTHING,)),
    Row(
        Event.FINAL_REPORT, "radiologist's final report arrives", "preliminary",
        (Effect.LINK_FINAL_REPORT, Effect.WITHHOLD_CONTRADICTED, Effect.MATCH_AGAIN),
    ),
    Row(
        Event.VERIFIED, "confirmation or rejection of a finding by a radiologist", "any",
        (Effect.RECORD_VERIFICATION, Effect.MATCH_AGAIN),
    ),
    Row(
        Event.WRONG_PATIENT, "wrong patient found", "any",
        (Effect.ASK, Effect.RETRACT, Effect.TELL_WHO_SAW, Effect.MATCH_AGAIN),
    ),
    Row(Event.TEST_MESSAGE, "message with MSH-11 T or D", "any", (Effect.TEST_ONLY,)),
    Row(Event.OLD_RESULT, "downtime catch-up", "queue old", (Effect.NO_ALERT_AS_NEW,)),
)  # fmt: skip

_BY_EVENT = {row.event: row for row in TABLE}


def row(event: Event) -> Row:
    """What an event does."""
    return _BY_EVENT[event]
