"""What a PACS answered to a report and to what goes along with it, judged together."""

from __future__ import annotations

from collections.abc import Sequence

from adapters.dicom.sender import Answer
from cds.errors import PeerFailed, PeerRefused, Unavailable

_WORDS = {
    "seg": "segmentation",
    "ko": "rejection note",
    "sr": "structured report",
    "sc": "key image",
    "pr": "presentation state",
}
#: PS3.4 table B.2-1 and PS3.7 annex C.
_NO_SUCH_CLASS, _DUPLICATE, _NOT_AUTHORIZED = 0x0122, 0x0111, 0x0124
_OUT_OF_RESOURCES = range(0xA700, 0xA800)
_REFUSED = (range(0xA900, 0xAA00), range(0xC000, 0xD000))


def judge(kinds: Sequence[str], answers: Sequence[Answer]) -> str:
    """The acknowledgment in words. What only goes along with a report does not hold the report up.

    Raise Unavailable where the PACS is full or fell silent, PeerFailed where it fails, PeerRefused where it refuses
    the report for good.
    """
    said = [f"0x0000 for {sum(map(has, answers))} instances"]
    for kind, answer in zip(kinds, answers, strict=True):
        if has(answer):
            if answer.status:
                said.append(f"{_WORDS[kind]} with 0x{answer.status:04X}")
            continue
        if not _is_final(answer):
            _again(answer)
        if kind == "sr":
            raise PeerRefused(f"the PACS refuses the structured report: {_why(answer)}")
        said.append(f"{_WORDS[kind]} not accepted by the PACS ({_why(answer)})")
    return ", ".join(said)


def has(answer: Answer) -> bool:
    """True where the PACS holds the instance now; one that says it has it already does."""
    return answer.stored or answer.status == _DUPLICATE


def _is_final(answer: Answer) -> bool:
    """True where asking again would get the same answer."""
    status = answer.status
    if status is None:
        return not answer.accepted
    return status in (_NO_SUCH_CLASS, _NOT_AUTHORIZED) or any(status in refused for refused in _REFUSED)


def _again(answer: Answer) -> None:
    if answer.status is None:
        raise Unavailable("the PACS ended the association without an answer")
    if answer.status in _OUT_OF_RESOURCES:
        raise Unavailable(f"the PACS is out of resources: 0x{answer.status:04X}")
    raise PeerFailed(f"the PACS could not store an instance: 0x{answer.status:04X}")


def _why(answer: Answer) -> str:
    return "no presentation context" if answer.status is None else f"0x{answer.status:04X}"
