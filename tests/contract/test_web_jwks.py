"""Our public keys over HTTP: open to everybody, and as a peer's library reads them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import jwt
from flask import Flask
from werkzeug.serving import make_server

from adapters.fhir.keys import SmartKeys
from adapters.fhir.outcome import operation_outcome
from cds.services import Json
from cds.web import auth, errors, headers, jwks
from tests.contract.certificates import signing_key


@dataclass(frozen=True)
class Keys:
    """What the route is given."""

    jwks: Callable[[], Json]


@contextmanager
def serving(keys: SmartKeys) -> Iterator[str]:
    """The route behind the doors of the application; yields its address."""
    app = Flask(__name__, static_folder=None)
    errors.install(app, operation_outcome)
    auth.install(app, "a token")
    headers.install(app)
    app.register_blueprint(jwks.blueprint(Keys(keys.jwks)))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}/.well-known/jwks.json"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_peer_gets_the_keys_without_a_token_and_verifies_what_they_sign(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(signing_key())
    keys = SmartKeys([tmp_path / "key"])
    key = keys.signer()
    said = jwt.encode({"iss": "us"}, key.private, key.algorithm, headers={"kid": key.kid})
    with serving(keys) as url:
        answer = httpx.get(url)
        theirs = jwt.PyJWKClient(url).get_signing_key_from_jwt(said)
        assert httpx.get(url.replace("jwks", "other")).status_code == 401
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.json() == keys.jwks()
    assert jwt.decode(said, theirs, algorithms=["ES384"]) == {"iss": "us"}


def test_without_keys_the_set_is_empty() -> None:
    with serving(SmartKeys(())) as url:
        assert httpx.get(url).json() == {"keys": []}


def test_a_key_that_comes_is_published_and_one_that_is_broken_is_an_error_and_no_smaller_set(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(signing_key())
    with serving(SmartKeys([file])) as url:
        first = httpx.get(url).json()
        file.write_bytes(signing_key())
        second = httpx.get(url).json()
        assert second["keys"][0]["kid"] != first["keys"][0]["kid"]
        file.write_bytes(b"half a key")
        broken = httpx.get(url)
        assert (broken.status_code, broken.json()["resourceType"]) == (503, "OperationOutcome")
        assert str(tmp_path) not in broken.text
