"""A webhook: one POST of JSON, the same bytes and Idempotency-Key on every attempt."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

import httpx

from cds.errors import PeerFailed, PeerRefused, Unavailable

_TIMEOUT_S = 15.0
_JSON = "application/json"
#: Answers that say nothing of what was sent: who we are, how busy they are, a proxy without its server.
_NOT_NOW = frozenset({401, 403, 407, 408, 425, 429, 502, 503, 504})


def webhook_body(delivery_id: str, *, kind: str, title: str, at: datetime, fields: Mapping[str, object]) -> bytes:
    """The JSON object. `id` is the Idempotency-Key; `kind` says what it is; no PHI: a webhook leads to a chat room."""
    body = {"id": delivery_id, "kind": kind, "title": title, "at": at.isoformat(), **fields}
    return json.dumps(body, ensure_ascii=False).encode()


class WebhookChannel:
    """Port Channel: what it sends are the bytes of `webhook_body`."""

    def __init__(self, name: str, url: str, *, timeout_s: float = _TIMEOUT_S) -> None:
        self._name, self._url, self._timeout_s = name, url, timeout_s

    @property
    def name(self) -> str:
        """The destination's name."""
        return self._name

    def send(self, payload: bytes) -> str:
        """POST it; redirects are not followed. Unavailable means again, PeerFailed too, PeerRefused never."""
        headers = {"Content-Type": _JSON, "Idempotency-Key": str(json.loads(payload)["id"])}
        try:
            with httpx.stream("POST", self._url, content=payload, headers=headers, timeout=self._timeout_s) as response:
                status = response.status_code
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unavailable(f"the webhook does not answer: {type(error).__name__}") from None
        if httpx.codes.is_success(status):
            return f"{status} from the webhook"
        if status in _NOT_NOW:
            raise Unavailable(f"the webhook does not take it now: {status}")
        if httpx.codes.is_server_error(status):
            raise PeerFailed(f"the webhook could not take it: {status}")
        raise PeerRefused(f"the webhook refuses it: {status}")
