"""What Sightline sends is held to its own rules and read back by another library before it is stored: hl7apy.

hl7apy knows the structures. It never writes and stays off the receiving path: it cannot encode safely and reads a
hundred messages a second. A document of 100 kB in an OBX makes no difference to it.
"""

from __future__ import annotations

from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.core import Element
from hl7apy.exceptions import HL7apyException
from hl7apy.parser import parse_message

from adapters.hl7.rules import UnreadableMessage, enforce


def prove(block: bytes) -> bytes:
    """Give the block back if it keeps our rules and hl7apy reads every segment of it; else raise UnreadableMessage."""
    return _read(enforce(block), valid=True)


def read_back(block: bytes) -> bytes:
    """Give the block back if hl7apy reads every segment of it; else raise UnreadableMessage.

    For orders: hl7apy wants all members of the choice in ORM_O01, and of IPC what only the RIS knows.
    """
    return _read(block, valid=False)


def _read(block: bytes, *, valid: bool) -> bytes:
    text = block.decode()
    try:
        message = parse_message(text, validation_level=VALIDATION_LEVEL.TOLERANT, find_groups=valid)
        if valid:
            message.validate()
    except HL7apyException as error:
        raise UnreadableMessage(f"the message we built is not valid: {type(error).__name__}") from None
    if _segments(message) != text.count("\r"):
        raise UnreadableMessage("the message we built is read back with another number of segments")
    return block


def _segments(element: Element) -> int:
    """How many segments a message or a group of it has."""
    return 1 if element.classname == "Segment" else sum(_segments(child) for child in element.children)
