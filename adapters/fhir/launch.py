"""The study page as a SMART app: SMART App Launch 2.2, EHR launch, authorization code with PKCE (RFC 7636).

Two requests and one read, over the bounded exchange that every FHIR peer gets: no redirect is followed, so no secret
goes where an answer points to. The access token reads one Patient and is dropped; it is never kept, logged or shown.
"""

from __future__ import annotations

import base64
import hashlib
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from adapters.fhir import auth, id_token
from adapters.fhir.client import FhirClient
from adapters.fhir.connection import pool
from adapters.fhir.discovery import may_be_told
from adapters.fhir.exchange import NotAllowed, NotNow, Reply, exchange, json_object, judge, retry_after_s
from adapters.fhir.tolerant import text
from cds.destinations import FhirServer, PeerTls
from cds.errors import Forbidden, InvalidInput, PeerFailed
from cds.hook_peers import SmartApp

_WITHIN_S = 8.0
_DISCOVERED_S = 3600.0
#: Launches of one process that wait for an EHR, and how long others wait for their turn: hooks are answered by the same
#: few threads, and an EHR that is slow must not take them all.
_AT_ONCE, _TURN_S = 2, 1.0
_WHO = "the EHR of this launch"
_ID = re.compile(r"[A-Za-z0-9\-.]{1,128}")
_LAUNCH = re.compile(r"[\x21-\x7e]{1,2048}")
#: RFC 6749 section 4.1.2.1 and OpenID Connect Core 3.1.2.6; anything else may quote somebody.
_ERRORS = frozenset(
    {"invalid_request", "unauthorized_client", "access_denied", "unsupported_response_type", "invalid_scope",
     "server_error", "temporarily_unavailable", "interaction_required", "login_required", "consent_required"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Endpoints:
    """What .well-known/smart-configuration says; "" for what it does not."""

    authorize: str
    token: str
    issuer: str = ""
    jwks: str = ""
    #: It says `iss` in every answer (RFC 9207 section 3): one without it is not its own.
    says_iss: bool = False


@dataclass(frozen=True, slots=True)
class Launched:
    """Who launched, for whom, and the appContext of the link that was followed, as it came."""

    user: str
    patient_id: str
    patient: Mapping[str, object] = field(repr=False)
    context: object = None


class EhrLaunch:
    """One EHR that launches us. Thread-safe; connections are opened for a launch and closed with it."""

    def __init__(self, iss: str, app: SmartApp, redirect_uri: str, tls: PeerTls | None = None) -> None:
        self._iss, self._app, self._redirect_uri = iss, app, redirect_uri
        self._server = FhirServer(url=iss, timeout_s=_WITHIN_S, tls=tls)
        self._turns = threading.BoundedSemaphore(_AT_ONCE)
        self._lock = threading.Lock()
        self._known: tuple[Endpoints, float] | None = None

    def authorize_url(self, aud: str, launch: str, state: str, verifier: str) -> str:
        """Where the browser is sent; `launch` is the EHR's own word for this launch, `aud` its `iss` as it came."""
        if not _LAUNCH.fullmatch(launch):
            raise InvalidInput("want launch, the parameter by which the EHR knows this launch")
        with self._turn():
            endpoint = httpx.URL(self._endpoints(time.monotonic() + _WITHIN_S).authorize)
        asked = {
            "response_type": "code",
            "client_id": self._app.client_id,
            "redirect_uri": self._redirect_uri,
            "launch": launch,
            "scope": " ".join(self._app.scopes),
            "state": state,
            "aud": aud,
            "code_challenge": challenge(verifier),
            "code_challenge_method": "S256",
        }
        return str(endpoint.copy_merge_params(asked))

    def finish(self, returned: Mapping[str, str], verifier: str) -> Launched:
        """Who launched for whom, by the query of the redirect; raise Forbidden where the EHR says no."""
        with self._turn():
            return self._finished(returned, verifier, time.monotonic() + _WITHIN_S)

    def _finished(self, returned: Mapping[str, str], verifier: str, deadline: float) -> Launched:
        endpoints = self._endpoints(deadline)
        _check(returned, endpoints)
        said = self._exchanged(endpoints, returned.get("code", ""), verifier, deadline)
        patient_id, token = text(said.get("patient")), text(said.get("access_token"))
        if not _ID.fullmatch(patient_id):
            raise Forbidden("The EHR did not say whose chart is open: want the scope launch, and a patient in context.")
        user = self._user(said, endpoints, deadline)
        return Launched(user, patient_id, self._patient(patient_id, token), said.get("appContext"))

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._turns.acquire(timeout=_TURN_S):
            raise NotNow(f"{_WHO} is slow, and others wait for it: try again in a moment")
        try:
            yield
        finally:
            self._turns.release()

    def _endpoints(self, deadline: float) -> Endpoints:
        """Believed for an hour; asked again where it could not be had."""
        with self._lock:
            known = self._known
        if known is not None and time.monotonic() < known[1]:
            return known[0]
        reply = self._ask("GET", f"{self._iss}/.well-known/smart-configuration", deadline)
        judge(reply.status, b"", retry_after_s(reply.headers), who=_WHO)
        said = json_object(reply.body, _WHO)
        names = ("authorization_endpoint", "token_endpoint", "issuer", "jwks_uri")
        authorize, token, issuer, jwks = (text(said.get(name)) for name in names)
        says_iss = said.get("authorization_response_iss_parameter_supported") is True
        found = Endpoints(authorize, token, issuer, jwks, says_iss)
        if not all(may_be_told(url, self._iss) for url in (found.authorize, found.token)):
            raise NotAllowed(f"{_WHO} names no address for authorization and tokens that is https")
        with self._lock:
            self._known = found, time.monotonic() + _DISCOVERED_S
        return found

    def _exchanged(self, endpoints: Endpoints, code: str, verifier: str, deadline: float) -> dict[str, object]:
        """The token response (RFC 6749 sections 4.1.3 and 5); a public client names itself, another proves itself."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": self._redirect_uri}
        form["code_verifier"], headers = verifier, {}
        if self._app.client_secret_file is None:
            form["client_id"] = self._app.client_id
        else:
            headers["Authorization"] = auth.basic(self._app.client_id, self._app.client_secret_file, _WHO)
        reply = self._ask("POST", endpoints.token, deadline, form, headers)
        if not httpx.codes.is_success(reply.status):
            _refuse(reply)
        said = json_object(reply.body, _WHO)
        token = text(said.get("access_token"))
        if (
            not token
            or not token.isascii()
            or not token.isprintable()
            or text(said.get("token_type")).lower() != "bearer"
        ):
            raise PeerFailed(f"{_WHO} answers without a usable access token")
        return said

    def _user(self, said: Mapping[str, object], endpoints: Endpoints, deadline: float) -> str:
        """`fhirUser` of the id_token once its signature holds, or its `sub`; without an id_token that of the response.

        An id_token that is there and does not hold ends the launch: somebody made it.
        """
        given = text(said.get("id_token"))
        if not given or not endpoints.jwks or not endpoints.issuer:
            return _reference(text(said.get("fhirUser")), self._iss)
        if not may_be_told(endpoints.jwks, self._iss):
            raise NotAllowed(f"{_WHO} names no address for its keys that is https")
        reply = self._ask("GET", endpoints.jwks, deadline)
        judge(reply.status, b"", retry_after_s(reply.headers), who=_WHO)
        keys = json_object(reply.body, _WHO)
        claims = id_token.verified(given, keys, issuer=endpoints.issuer, audience=self._app.client_id)
        named = text(claims.get("fhirUser")) or text(claims.get("profile"))
        return _reference(named, self._iss) or text(claims.get("sub"))

    def _patient(self, patient_id: str, token: str) -> Mapping[str, object]:
        client = FhirClient("of this launch", self._server, auth.GivenToken(token))
        try:
            return client.read(f"Patient/{patient_id}")
        finally:
            client.close()

    def _ask(
        self,
        method: str,
        url: str,
        deadline: float,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        with pool(self._server, url) as http:
            request = http.build_request(
                method, url, data=form, headers={"Accept": "application/json", **(headers or {})}
            )
            return exchange(http, request, who=_WHO, deadline=deadline)


def challenge(verifier: str) -> str:
    """RFC 7636 section 4.2, S256."""
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def _check(returned: Mapping[str, str], endpoints: Endpoints) -> None:
    """What came back is an answer of this EHR (RFC 9207 where it says so), and it is yes."""
    unsaid = "" if endpoints.says_iss else endpoints.issuer
    if endpoints.issuer and returned.get("iss", unsaid) != endpoints.issuer:
        raise InvalidInput("another server than the EHR of this launch has answered")
    if "error" in returned:
        code = returned["error"] if returned["error"] in _ERRORS else "an unknown error"
        raise Forbidden(f"The EHR did not let this page in: {code}.")
    if not returned.get("code"):
        raise InvalidInput("want the code by which the EHR answers a launch")


def _refuse(reply: Reply) -> None:
    """A code that is used up is the browser's fault, everything else that of the registration."""
    if httpx.codes.is_client_error(reply.status) and reply.status not in (408, 425, 429):
        try:
            code = text(json_object(reply.body, _WHO).get("error"))
        except PeerFailed:
            code = ""
        if code == "invalid_grant":
            raise InvalidInput("This launch is over or was used before. Open Sightline again from the patient's chart.")
        said = f"{reply.status} ({code})" if code in auth.ERRORS else f"{reply.status}"
        raise NotAllowed(f"{_WHO} gives no token: {said}")
    judge(reply.status, b"", retry_after_s(reply.headers), who=_WHO)
    raise PeerFailed(f"{_WHO} gives no token: {reply.status}")


def _reference(named: str, iss: str) -> str:
    """A user as CDS Hooks names one, Practitioner/123; a user of another server keeps the whole address."""
    return named.removeprefix(f"{iss}/")
