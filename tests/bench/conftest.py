"""What the benches share with the peers' tests."""

from __future__ import annotations

from tests.peers.conftest import postgres_url

__all__ = ["postgres_url"]
