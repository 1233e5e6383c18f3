"""A pynetdicom requestor whose answers reach the one who asked."""

from __future__ import annotations

import queue
import threading
from typing import Any

from pynetdicom.association import Association


class Answers(queue.Queue[Any]):
    """What an association has received. Its own thread may look for requests alone.

    pynetdicom's `send_c_*` tell that thread to stand still, but do not see whether it was just about to look: under
    load it takes a quick answer for an unexpected message, drops it, and the sender waits until the timeout.
    """

    def __init__(self, association: Association) -> None:
        super().__init__()
        self._own_thread = association

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """As the queue does; an answer is nothing to the association's own thread."""
        if threading.current_thread() is not self._own_thread:
            return super().get(block, timeout)
        with self.mutex:
            if not self._qsize() or not self.queue[0][1] or not self.queue[0][1].is_valid_request:
                raise queue.Empty
            return self._get()


def attentive(association: Association) -> Association:
    """The association, just made, with answers that nobody takes away."""
    association.dimse.msg_queue = Answers(association)
    return association
