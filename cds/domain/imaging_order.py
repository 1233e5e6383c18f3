"""An imaging order that is not signed yet: what is asked for, of which part, with which contrast medium, and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from cds.domain.coding import Coding
from cds.domain.order import Priority


class Contrast(StrEnum):
    """The contrast medium that an exam needs; gadolinium by its ACR group, where the site says which it uses."""

    NONE = "none"
    IODINATED = "iodinated"
    GADOLINIUM = "gadolinium"


@dataclass(frozen=True, slots=True)
class Exam:
    """What an imaging code stands for. None is not known: it is never taken for none.

    `modality` is a DICOM modality (CT, MR, CR, DX, US, MG, NM, PT), `region` one of head, neck, chest, abdomen, pelvis,
    spine, heart, breast, limb, whole-body; `angiography` is True for a CT or MR angiography.
    """

    modality: str
    region: str | None = None
    contrast: Contrast | None = None
    angiography: bool | None = None

    @property
    def ionising(self) -> bool | None:
        """Whether it needs ionising radiation; None for a modality that is not known here."""
        if self.modality in _IONISING:
            return True
        return False if self.modality in _WITHOUT_RADIATION else None


_IONISING = frozenset({"CT", "CR", "DX", "RG", "RF", "XA", "MG", "NM", "PT", "DXA"})
_WITHOUT_RADIATION = frozenset({"MR", "US"})


@dataclass(frozen=True, slots=True)
class ImagingOrder:
    """A draft order. `key` is its id among the drafts of the request; `exam` is None for a code that nobody knows.

    `reasons` are the coded indications, `reason_text` what was written; `wanted_on` the day that it is planned for.
    `priority` is None where nobody stated one. `further` is True where the order says more of why than was read: it
    points to other resources, or has reasons of a form that is not known. `authored_on` is the day that it was written.
    """

    key: str
    codes: tuple[Coding, ...]
    exam: Exam | None
    text: str = ""
    reasons: tuple[Coding, ...] = ()
    reason_text: str = ""
    wanted_on: date | None = None
    priority: Priority | None = None
    further: bool = False
    authored_on: date | None = None
