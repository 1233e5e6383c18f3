"""Passwords of local users: salted scrypt (RFC 7914), with its parameters beside it."""

from __future__ import annotations

from typing import Final

from werkzeug.security import check_password_hash, generate_password_hash

from cds.errors import InvalidInput

#: NIST SP 800-63B-4 section 3.1.1.2 (https://doi.org/10.6028/NIST.SP.800-63B-4): where nothing but a password is asked.
SHORTEST: Final = 15
LONGEST: Final = 1024
#: Of nobody: checking it takes as long as checking that of a user.
NOBODY: Final = f"scrypt:32768:8:1${'0' * 16}${'0' * 128}"


def hashed(password: str) -> str:
    """What may be kept of a password; raise InvalidInput where it is too short or too long."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise InvalidInput(f"want a password of {SHORTEST} to {LONGEST} characters; any characters will do")
    return generate_password_hash(password)


def fits(kept: str, password: str) -> bool:
    """Whether it is the password that was kept; in the same time whatever is wrong."""
    return check_password_hash(kept, password[:LONGEST])
