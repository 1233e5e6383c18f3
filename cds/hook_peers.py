"""The nested tables of the settings that name EHRs which call CDS Hooks, and how often their users are told."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, Field, model_validator

from cds.destinations import HttpUrl, Table

#: RFC 7518: asymmetric algorithms that a client's JWT may be signed with.
HookAlgorithm = Literal["ES384", "RS384", "ES256", "RS256"]
#: What is said wherever CDS_INSECURE is on.
INSECURE: Final = "Development mode (CDS_INSECURE): CDS Hooks answer whoever calls, without any proof of who it is."
Hours = Annotated[float, Field(ge=0, le=24 * 366)]


class HookClient(Table):
    """An EHR that calls our CDS Hooks services (CDS Hooks 2.0, "Trusting CDS Clients").

    Exactly one of `jwks_url` and `jwks_file` says where its keys are; the `jku` of a token must be `jwks_url` or one of
    `jku`, and is never fetched otherwise. With a file nothing is fetched: `jku` are then the addresses that its tokens
    may name. `audiences` are further values that `aud` may have, beside the exact URL that is called: for EHRs where it
    is entered by hand.
    """

    #: `iss` of its tokens, exactly.
    issuer: Annotated[str, Field(min_length=1)]
    jwks_url: HttpUrl | None = None
    jwks_file: Path | None = None
    jku: tuple[HttpUrl, ...] = ()
    audiences: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    algorithms: tuple[HookAlgorithm, ...] = ("ES384", "RS384", "ES256", "RS256")
    #: Values of `tenant` that may call; empty: any, and none.
    tenants: tuple[str, ...] = ()
    #: Calls a minute; more are answered 429.
    rate_per_minute: Annotated[int, Field(ge=1)] = 600

    @model_validator(mode="after")
    def _can_be_told(self) -> HookClient:
        if (self.jwks_url is None) == (self.jwks_file is None):
            raise ValueError("want jwks_url or jwks_file")
        if not self.algorithms:
            raise ValueError("algorithms: want at least one")
        return self


class Fatigue(Table):
    """How often a person is told the same; a critical card is always shown."""

    #: After an accept a step is not shown for so long, unless what it says changes; then again if no order is known.
    #: An answer to a check of an order counts for so long too.
    accepted_h: Hours = 72.0
    #: After "remind me later".
    snooze_h: Hours = 24.0
    #: A card of indicator info that was shown to a user is not shown to the same user again for so long; 0: always.
    info_again_h: Hours = 0.0
    #: Different advices a day and user, over all patients, beside critical ones: about twice the 15.5 notifications of
    #: test results that a primary care physician is sent a day (https://doi.org/10.1001/jamainternmed.2016.0209).
    daily_cap: Annotated[int, Field(ge=1)] = 30
    #: What users of a role are told, by "<system>|<code>" of their PractitionerRole: pathways and checks. Who has no
    #: role of these is told everything.
    roles: dict[Annotated[str, Field(pattern=r"^\S*\|\S+$")], frozenset[str]] = Field(default_factory=dict)

    def tells(self, roles: Iterable[str], pathway: str) -> bool:
        """Whether somebody with these roles is told what a pathway says, unless it is critical."""
        listed = [self.roles[role] for role in roles if role in self.roles]
        return not listed or any(pathway in names for names in listed)


class SmartApp(Table):
    """How the study page is launched from an EHR (SMART App Launch 2.2), by the `iss` that the EHR launches with.

    A confidential client has a secret; a public one has PKCE alone, as all have.
    """

    client_id: Annotated[str, Field(min_length=1)]
    client_secret_file: Path | None = None
    scopes: tuple[str, ...] = ("launch", "openid", "fhirUser", "patient/Patient.rs")


#: Ports that a browser leaves out of an origin.
_UNSAID: Final = {"http": ":80", "https": ":443"}


def _origin(address: str) -> str:
    """RFC 6454: scheme, host and port, as a browser sends them."""
    found = urlsplit(address)
    if found.path not in ("", "/") or found.query or found.fragment or "@" in found.netloc:
        raise ValueError("want scheme, host and port alone, e.g. https://sandbox.example")
    return f"{found.scheme}://{found.netloc}".lower().removesuffix(_UNSAID.get(found.scheme, ""))


class HookDoor(BaseModel):
    """The part of the settings that CDS Hooks goes by."""

    #: EHRs that call CDS Hooks, by name; where there are some every call below /cds-services wants a token of theirs.
    hook_clients: dict[str, HookClient] = Field(default_factory=dict)
    #: Origins that may call CDS Hooks from a browser, e.g. https://sandbox.example.
    hook_origins: tuple[Annotated[HttpUrl, AfterValidator(_origin)], ...] = ()
    #: Calls a minute from one address, where no EHR is configured; more are answered 429.
    hook_rate_per_minute: Annotated[int, Field(ge=1)] = 600
    #: Without any proof of who calls, on loopback alone, and said at every start and on every page: for development.
    insecure: bool = False
    #: How often a person is told the same.
    fatigue: Fatigue = Fatigue()
    #: Services that may act without asking (CDS Hooks systemActions), by id.
    system_actions: tuple[str, ...] = ()
    #: EHRs that can launch the study page (SMART App Launch), by the `iss` that they launch with.
    smart_apps: dict[HttpUrl, SmartApp] = Field(default_factory=dict)

    def open_hook_doors(self, *, loopback: bool, token: bool) -> list[str]:
        """What is wrong with who may call; `loopback` and `token` are of the whole HTTP door."""
        issuers = [client.issuer for client in self.hook_clients.values()]
        mistakes = [
            f"CDS_HOOK_CLIENTS: two have the issuer {issuer}: their tokens could not be told apart"
            for issuer in sorted({one for one in issuers if issuers.count(one) > 1})
        ]
        if self.insecure and not loopback:
            mistakes.append("CDS_INSECURE is for development on one machine: set CDS_HTTP_HOST to 127.0.0.1")
        if self.insecure and (self.hook_clients or token):
            mistakes.append(
                "CDS_INSECURE opens CDS Hooks to everybody: take it away, or CDS_HOOK_CLIENTS and CDS_HTTP_TOKEN_FILE"
            )
        return mistakes

    @property
    def hook_files(self) -> list[Path]:
        """The files that these settings name."""
        files = [client.jwks_file for client in self.hook_clients.values()]
        files += [app.client_secret_file for app in self.smart_apps.values()]
        return [file for file in files if file]
