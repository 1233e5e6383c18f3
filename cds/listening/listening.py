"""One look at one server by one of the workers: tend its subscriptions, poll what is due, work off what it told."""

from __future__ import annotations

from datetime import datetime

from cds.listening.parts import Listening
from cds.listening.polling import poll_due, try_poll
from cds.listening.subscribing import is_due, tend
from cds.listening.working import work_off


def listen(line: Listening) -> bool:
    """Do what is due; False where nothing is, or another worker listens. Unavailable: our own tables are away."""
    now = line.clock.now()
    if not _anything(line, now) or not line.feeds.claim(line.name, now, now + line.lease):
        return False
    try:
        tend(line)
        for resource_type in poll_due(line, line.clock.now()):
            try_poll(line, resource_type)
        work_off(line)
    finally:
        line.feeds.release(line.name)
    return True


def _anything(line: Listening, now: datetime) -> bool:
    return is_due(line, now) or bool(poll_due(line, now)) or bool(line.notices.due(line.name, now, limit=1))
