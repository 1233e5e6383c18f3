"""Sign-in with the organisation's OpenID Connect provider: authorization code with PKCE, state and nonce.

OpenID Connect Core 1.0 section 3.1, Discovery 1.0 section 4, RFC 7636 and RFC 9207, by Authlib. No token is kept:
the ID token says who came, and that is all that is wanted.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast
from urllib.parse import quote_plus, urlsplit

import httpx
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, KeySetSerialization
from joserfc.jws import JWSRegistry

from cds.destinations import is_loopback
from cds.errors import Forbidden, InvalidInput, PeerRefused, Unavailable
from cds.ports import Clock
from cds.ui_door import UiOidc

_WITHIN_S: Final = 8.0
_BELIEVED_S: Final = 3600.0
_LEEWAY_S: Final = 60
#: Asymmetric alone: whoever verifies must not be able to make one.
_ALGORITHMS: Final = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]
_WHO: Final = "the sign-in of the organisation"
_JSON: Final = {"Accept": "application/json"}
_AGAIN: Final = "The sign-in could not be completed. Begin again."


@dataclass(frozen=True, slots=True)
class Said:
    """Who came, by the provider's word: a lasting id, a name to show, and the values of the claim that gives roles."""

    user: str
    name: str
    granted: tuple[str, ...]


class Provider:
    """The provider of the settings. Thread-safe; what it says of itself is believed for an hour."""

    def __init__(self, settings: UiOidc, redirect_uri: str, clock: Clock) -> None:
        self._settings, self._redirect_uri, self._clock = settings, redirect_uri, clock
        self._lock = threading.Lock()
        self._known: tuple[dict[str, Any], float] | None = None

    def authorize_url(self, state: str, nonce: str, verifier: str) -> str:
        """Where the browser is sent."""
        asked = {
            "redirect_uri": self._redirect_uri,
            "scope": list(self._settings.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": create_s256_code_challenge(verifier),  # type: ignore[no-untyped-call]  # the stubs have no hint
            "code_challenge_method": "S256",
        }
        endpoint = self._metadata()["authorization_endpoint"]
        return str(prepare_grant_uri(endpoint, self._settings.client_id, "code", **asked))

    def finish(self, returned: Mapping[str, str], nonce: str, verifier: str) -> Said:
        """Who came, by the query of the redirect; `state` was compared before.

        Raise Forbidden where the provider says no, InvalidInput where this is no answer of it, or Unavailable or
        PeerRefused.
        """
        metadata = self._metadata()
        _check_sender(returned, metadata)
        if "error" in returned:
            raise Forbidden("The sign-in of the organisation did not let you in.")
        if not returned.get("code"):
            raise InvalidInput(_AGAIN)
        token = self._token(metadata, returned["code"], verifier)
        return self._said(self._claims(metadata, token, nonce))

    def check(self) -> str:
        """Its issuer, once it answers; raise Unavailable or PeerRefused otherwise."""
        return str(self._metadata()["issuer"])

    def _token(self, metadata: Mapping[str, Any], code: str, verifier: str) -> dict[str, Any]:
        """The token response (RFC 6749 sections 4.1.3 and 5); a public client names itself, another proves itself."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": self._redirect_uri}
        form["code_verifier"], proof = verifier, None
        if self._settings.client_secret_file is None:
            form["client_id"] = self._settings.client_id
        else:  # RFC 6749 section 2.3.1: both are form-encoded first
            secret = self._settings.client_secret_file.read_text().strip()
            proof = httpx.BasicAuth(quote_plus(self._settings.client_id), quote_plus(secret))
        request = httpx.Request("POST", metadata["token_endpoint"], data=form, headers=_JSON)
        answer = _sent(request, proof)
        if answer.is_client_error:
            if _json(answer).get("error") == "invalid_grant":
                raise InvalidInput(_AGAIN)
            raise PeerRefused(f"{_WHO} gives no token: {answer.status_code}")
        return _good(answer)

    def _claims(self, metadata: Mapping[str, Any], token: Mapping[str, Any], nonce: str) -> dict[str, Any]:
        """The claims of the ID token (OpenID Connect Core 1.0 section 3.1.3.7)."""
        if not isinstance(token.get("id_token"), str):
            raise PeerRefused(f"{_WHO} answers without an ID token: want the scope openid")
        keys = KeySet.import_key_set(cast(KeySetSerialization, _asked(str(metadata["jwks_uri"]))))
        registry = JWSRegistry(algorithms=_ALGORITHMS, strict_check_header=False)
        try:
            decoded = jwt.decode(token["id_token"], keys, registry=registry)
            claims = CodeIDToken(
                decoded.claims,
                decoded.header,
                options={"iss": {"essential": True, "value": metadata["issuer"]}, "aud": {"essential": True}},
                params={
                    "nonce": nonce,
                    "client_id": self._settings.client_id,
                    "access_token": token.get("access_token"),
                },
            )
            claims.validate(now=int(self._clock.now().timestamp()), leeway=_LEEWAY_S)
        except (JoseError, ValueError, TypeError, KeyError):
            raise Forbidden(_AGAIN) from None
        audience = claims.get("aud")
        if self._settings.client_id not in (audience if isinstance(audience, list) else [audience]):
            raise Forbidden(_AGAIN)
        return dict(claims)

    def _said(self, claims: Mapping[str, Any]) -> Said:
        user = claims.get(self._settings.user_claim)
        if not isinstance(user, str) or not user:
            raise Forbidden(f"The sign-in of the organisation does not say {self._settings.user_claim} of you.")
        name = next((claims[key] for key in ("name", "preferred_username") if isinstance(claims.get(key), str)), user)
        return Said(user, str(name), _values(claims, self._settings.role_claim))

    def _metadata(self) -> dict[str, Any]:
        with self._lock:
            known = self._known
        if known is not None and time.monotonic() < known[1]:
            return known[0]
        found = _asked(f"{self._settings.issuer.rstrip('/')}/.well-known/openid-configuration")
        if found.get("issuer") != self._settings.issuer:
            raise PeerRefused(f"{_WHO} names another issuer than ui_oidc does; want it letter by letter")
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            if not _is_safe(found.get(name)):
                raise PeerRefused(f"{_WHO} names no {name} that is https")
        with self._lock:
            self._known = found, time.monotonic() + _BELIEVED_S
        return found


def _asked(url: str) -> dict[str, Any]:
    return _good(_sent(httpx.Request("GET", url, headers=_JSON)))


def _sent(request: httpx.Request, proof: httpx.BasicAuth | None = None) -> httpx.Response:
    """One answer; no redirect is followed, so no secret goes where an answer points to."""
    try:
        with httpx.Client(timeout=_WITHIN_S, follow_redirects=False) as http:
            return http.send(request, auth=proof)
    except httpx.HTTPError as error:
        raise Unavailable(f"{_WHO} cannot be reached: {type(error).__name__}") from None


def _good(answer: httpx.Response) -> dict[str, Any]:
    if not answer.is_success:
        raise Unavailable(f"{_WHO} answers {answer.status_code}")
    return _json(answer)


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise PeerRefused(f"{_WHO} answers with something else than a JSON object")
    return found


def _check_sender(returned: Mapping[str, str], metadata: Mapping[str, Any]) -> None:
    """RFC 9207 section 2.4: the answer is of this provider, where it says so."""
    unsaid = "" if metadata.get("authorization_response_iss_parameter_supported") is True else metadata["issuer"]
    if returned.get("iss", unsaid) != metadata["issuer"]:
        raise InvalidInput(_AGAIN)


def _values(claims: Mapping[str, Any], path: str) -> tuple[str, ...]:
    """The texts at a claim, or at a path of claims with dots; a claim may have dots in its own name, too."""
    found: Any = claims.get(path)
    if found is None:
        found = claims
        for part in path.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    listed = found if isinstance(found, list) else [found]
    return tuple(one for one in listed if isinstance(one, str))


def _is_safe(url: object) -> bool:
    """https, or this machine."""
    if not isinstance(url, str):
        return False
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
