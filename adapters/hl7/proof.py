"""What Sightline sends is read back by another library before it is stored: hl7apy, which knows the structures.

It never writes and stays off the receiving path: it cannot encode safely and reads a hundred messages a second.
"""

from __future__ import annotations

from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.exceptions import HL7apyException
from hl7apy.parser import parse_message

from cds.errors import SightlineError


class UnreadableMessage(SightlineError):
    """A block that we built does not have the structure that it claims."""


def prove(block: bytes) -> bytes:
    """Give the block back if hl7apy finds its structure valid and every segment in it; raise UnreadableMessage."""
    text = block.decode()
    try:
        message = parse_message(text, validation_level=VALIDATION_LEVEL.TOLERANT, find_groups=True)
        message.validate()
        count = len(parse_message(text, validation_level=VALIDATION_LEVEL.TOLERANT, find_groups=False).children)
    except HL7apyException as error:
        raise UnreadableMessage(f"the message we built is not valid: {type(error).__name__}") from None
    if count != text.count("\r"):
        raise UnreadableMessage("the message we built is read back with another number of segments")
    return block
