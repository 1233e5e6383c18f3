"""The keys that prove who we are (SMART Backend Services, asymmetric): read from files, published, and never shown."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from cds.errors import ConfigurationError, Unavailable

#: SMART App Launch 2.2, "Client Authentication: Asymmetric": RSA of at least 2048 bits, EC on P-384.
_SMALLEST_RSA_BITS = 2048
_WANTED = "want a PEM private key without passphrase: RSA of at least 2048 bits, or EC on P-384"

#: A file's time, size and number: another one means that the key changed.
_Stamp = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key, the algorithm that it signs with, and the name that its public key is published under."""

    kid: str
    algorithm: str
    private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey = field(repr=False)
    public: dict[str, str] = field(repr=False)


class SmartKeys:
    """The keys of CDS_SMART_KEY_FILES, read again when a file changes. `kid` is the RFC 7638 thumbprint.

    Raise ConfigurationError with every mistake where a file holds no usable key.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = tuple(files)
        self._lock = threading.Lock()
        self._keys = _load(self._files)
        self._stamp: _Stamp | None = None

    def jwks(self) -> dict[str, object]:
        """The public keys as a JWK Set (RFC 7517 section 5); Unavailable while a changed file cannot be used."""
        return {"keys": [dict(key.public) for key in self._current()]}

    def signer(self, *algorithms: str) -> SigningKey:
        """The first key of one of these algorithms, of any where none is named.

        Raise ConfigurationError where there is none, Unavailable while a changed file cannot be used.
        """
        keys = self._current()
        fitting = [key for key in keys if not algorithms or key.algorithm in algorithms]
        if not fitting:
            raise ConfigurationError([f"CDS_SMART_KEY_FILES: want a key for {' or '.join(algorithms) or 'signing'}"])
        return fitting[0]

    def _current(self) -> tuple[SigningKey, ...]:
        with self._lock:
            try:
                stamp = _stamp(self._files)
                if stamp != self._stamp:
                    self._keys = _load(self._files)
                    self._stamp = stamp
            except OSError as error:
                raise Unavailable(f"a file of CDS_SMART_KEY_FILES cannot be read: {type(error).__name__}") from None
            except ConfigurationError:  # its text names files, and this one may be read by everybody
                raise Unavailable(f"a changed file of CDS_SMART_KEY_FILES cannot be used: {_WANTED}") from None
            return self._keys


def _stamp(files: Sequence[Path]) -> _Stamp:
    stats = [file.stat() for file in files]
    return tuple((one.st_mtime_ns, one.st_size, one.st_ino) for one in stats)


def _load(files: Sequence[Path]) -> tuple[SigningKey, ...]:
    """Every key once, in the order of the files."""
    keys: dict[str, SigningKey] = {}
    mistakes: list[str] = []
    for file in files:
        try:
            key = _read(file.read_bytes())
        except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
            why = str(error) if isinstance(error, _WrongKey) else _WANTED
            mistakes.append(f"CDS_SMART_KEY_FILES: {file}: {why}")
        else:
            keys.setdefault(key.kid, key)
    if mistakes:
        raise ConfigurationError(mistakes)
    return tuple(keys.values())


class _WrongKey(ValueError):
    """A key, and not one that SMART knows."""


def _read(pem: bytes) -> SigningKey:
    key = load_pem_private_key(pem, password=None)
    if isinstance(key, rsa.RSAPrivateKey):
        if key.key_size < _SMALLEST_RSA_BITS:
            raise _WrongKey(f"{_WANTED}, got RSA of {key.key_size} bits")
        return _signing(key, "RS384", RSAAlgorithm.to_jwk(key.public_key(), as_dict=True))
    if isinstance(key, ec.EllipticCurvePrivateKey):
        if not isinstance(key.curve, ec.SECP384R1):
            raise _WrongKey(f"{_WANTED}, got EC on {key.curve.name}")
        return _signing(key, "ES384", ECAlgorithm.to_jwk(key.public_key(), as_dict=True))
    raise _WrongKey(_WANTED)


def _signing(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, algorithm: str, jwk: dict[str, object]) -> SigningKey:
    """Only the members that make the public key are taken over: whatever else a library writes stays here."""
    names = ("e", "kty", "n") if algorithm == "RS384" else ("crv", "kty", "x", "y")
    public = {name: str(jwk[name]) for name in names}
    kid = thumbprint(public)
    return SigningKey(kid, algorithm, key, {**public, "kid": kid, "use": "sig", "alg": algorithm})


def thumbprint(public: Mapping[str, str]) -> str:
    """The SHA-256 thumbprint of a JWK that has the required members alone (RFC 7638 section 3)."""
    canonical = json.dumps(public, sort_keys=True, separators=(",", ":")).encode("ascii")
    return base64.urlsafe_b64encode(hashlib.sha256(canonical).digest()).rstrip(b"=").decode("ascii")
