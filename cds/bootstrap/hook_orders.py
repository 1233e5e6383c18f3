"""The hooks about imaging orders, wired."""

from __future__ import annotations

from cds.hooks import HookContext
from cds.ports import Switches
from cds.settings import Settings


def with_orders(context: HookContext, settings: Settings, switches: Switches) -> HookContext:
    """A hook context that reads draft orders and judges them with the checks that may speak now."""
    return context
