"""How often a wrong password may be tried: of one name, and from one address. Right ones are not counted.

Counts are kept in the memory of each process, so each has an equal part.
"""

from __future__ import annotations

import math
import time
from typing import Final

import limits
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from cds.errors import TooManyRequests

_MINUTES: Final = 10
#: NIST SP 800-63B-4 section 3.2.2 (https://doi.org/10.6028/NIST.SP.800-63B-4) wants no more than 100 in a row.
_OF_A_NAME: Final = 10
#: A clinic behind one proxy has one address.
_FROM_AN_ADDRESS: Final = 100


class Tries:
    """The wrong passwords of the last ten minutes."""

    def __init__(self, processes: int) -> None:
        self._bounds = {
            "name": limits.RateLimitItemPerMinute(_OF_A_NAME, _MINUTES),
            "address": limits.RateLimitItemPerMinute(math.ceil(_FROM_AN_ADDRESS / processes), _MINUTES),
        }
        self._counted = FixedWindowRateLimiter(MemoryStorage())

    def check(self, **who: str) -> None:
        """Raise TooManyRequests where `name` or `address` has none left."""
        for kind, value in who.items():
            bound = self._bounds[kind]
            if not self._counted.test(bound, kind, value):
                wait_s = max(1, math.ceil(self._counted.get_window_stats(bound, kind, value).reset_time - time.time()))
                raise TooManyRequests("Too many wrong passwords: come again later.", retry_after_s=wait_s)

    def failed(self, **who: str) -> None:
        """Count one."""
        for kind, value in who.items():
            self._counted.hit(self._bounds[kind], kind, value)
