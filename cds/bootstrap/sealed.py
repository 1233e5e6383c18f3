"""What a browser keeps for us while it is away at another server: nobody reads or changes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from cds.errors import InvalidResource
from cds.ports import Clock


@dataclass(frozen=True, slots=True)
class Sealer:
    """Seals texts for a purpose and a time."""

    key: Callable[[], bytes]
    clock: Clock

    def seal(self, what: str, value: Mapping[str, str], lasts: timedelta) -> str:
        """One opaque text."""
        from adapters.fhir.sealing import seal

        now = self.clock.now()
        return seal({**value, "what": what, "until": str(int((now + lasts).timestamp()))}, self.key(), now)

    def unseal(self, what: str, sealed: str) -> dict[str, str] | None:
        """None for what is none of ours, is meant for something else, or is over."""
        from adapters.fhir.sealing import unseal

        now = self.clock.now()
        try:
            found = {name: str(value) for name, value in unseal(sealed, self.key(), now).items()}
        except InvalidResource:
            return None
        return found if found["what"] == what and now.timestamp() < int(found["until"]) else None
