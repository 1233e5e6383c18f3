"""Sightline with calls that prove who calls: a fresh token of ES384 each, signed before the clock runs."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from tests.bench.hook_servers import OURS, Server, sightline
from tests.e2e.site import free_port

_ISSUER, _KEY_ID = "https://ehr.example", "bench"
_LIFE_S = 300


@contextmanager
def signed(data_dir: Path, folder: Path) -> Iterator[Server]:
    """The web role, which one EHR may call; `folder` takes its keys and tokens."""
    key, port = ec.generate_private_key(ec.SECP384R1()), free_port()
    public = json.loads(ECAlgorithm.to_jwk(key.public_key())) | {"kid": _KEY_ID, "alg": "ES384", "use": "sig"}
    keys = folder / "keys.json"
    keys.write_text(json.dumps({"keys": [public]}))
    audience = f"http://127.0.0.1:{port}{OURS}"

    def proofs(calls: int) -> Path:
        now, file = int(time.time()), folder / "tokens"
        said = {"iss": _ISSUER, "aud": audience, "iat": now, "exp": now + _LIFE_S}
        header = {"kid": _KEY_ID}
        made = (jwt.encode({**said, "jti": str(uuid.uuid4())}, key, "ES384", header) for _ in range(calls))
        file.write_text("\n".join(made))
        return file

    client = {"issuer": _ISSUER, "jwks_file": str(keys), "rate_per_minute": 10_000_000}
    with sightline(data_dir, port, insecure=False, hook_clients={"bench": client}) as server:
        yield replace(server, proofs=proofs)
