"""What was understood of an HL7 v2 message, for the person who holds it: `cds hl7 inspect`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cds.domain.message import MessageContent


@dataclass(frozen=True, slots=True)
class InspectedOrder:
    """One exam of an order group, or a message without one. What is absent is empty; the names are those of the JSON.

    `order_control` and `order_status` are ORC-1 and ORC-5, `priority` the letter of table 0485, `modality` DICOM's,
    `charset` Python's name of the codec. `problems` are errors and doubts, in words without values.
    """

    msg_type: str = ""
    version: str = ""
    control_id: str = ""
    order_control: str = ""
    order_status: str = ""
    placer: str = ""
    filler: str = ""
    accession: str = ""
    study_uid: str = ""
    patient_id: str = ""
    assigner: str = ""
    family: str = ""
    given: str = ""
    procedure: str = ""
    procedure_text: str = ""
    alt_code: str = ""
    modality: str = ""
    priority: str = ""
    reason: str = ""
    clinical_info: str = ""
    charset: str = ""
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Inspection:
    """One message: its orders (at least one entry), what it would be answered, and what would become of it.

    `answer` is "AA", or AE or AR with the condition of table 0357; `outcome` says applied, ignored, refused or
    quarantined, with the reason. `taken`: it passes the check and can be read. `content` is None where it cannot.
    """

    answer: str
    outcome: str
    taken: bool
    orders: tuple[InspectedOrder, ...]
    size: int
    sender: str = ""
    processing_id: str = ""
    has_orders: bool = False
    content: MessageContent | None = None

    @property
    def doubts(self) -> tuple[str, ...]:
        """What is told of the message, each once."""
        return tuple(dict.fromkeys(problem for order in self.orders for problem in order.problems))


@dataclass(frozen=True, slots=True)
class InspectedFile:
    """The messages of one file in their order; `problems` are those of the file around them."""

    name: str
    messages: tuple[Inspection, ...]
    problems: tuple[str, ...] = ()

    @property
    def taken(self) -> bool:
        """True where the file could be loaded, and every message of it taken."""
        return not self.problems and all(message.taken for message in self.messages)

    @property
    def orders(self) -> tuple[InspectedOrder, ...]:
        """The entries of all messages; the first tells the problems of the file too."""
        found = [order for message in self.messages for order in message.orders]
        if self.problems:
            first = found[0] if found else InspectedOrder()
            found[:1] = [with_problems(first, self.problems)]
        return tuple(found)


def with_problems(order: InspectedOrder, problems: tuple[str, ...]) -> InspectedOrder:
    """The same with these problems before its own, each once."""
    return replace(order, problems=tuple(dict.fromkeys((*problems, *order.problems))))
