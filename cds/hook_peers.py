"""The nested tables of the settings that name EHRs which call CDS Hooks, and how often their users are told."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, model_validator

from cds.destinations import HttpUrl, Table

#: RFC 7518: asymmetric algorithms that a client's JWT may be signed with.
HookAlgorithm = Literal["ES384", "RS384", "ES256", "RS256"]
Hours = Annotated[float, Field(ge=0, le=24 * 366)]


class HookClient(Table):
    """An EHR that calls our CDS Hooks services (CDS Hooks 2.0, "Trusting CDS Clients").

    Exactly one of `jwks_url` and `jwks_file` says where its keys are; the `jku` of a token must be `jwks_url` or one of
    `jku`, and is never fetched otherwise. `audiences` are further values that `aud` may have, beside the exact URL that
    is called: for EHRs where it is entered by hand.
    """

    #: `iss` of its tokens, exactly.
    issuer: Annotated[str, Field(min_length=1)]
    jwks_url: HttpUrl | None = None
    jwks_file: Path | None = None
    jku: tuple[HttpUrl, ...] = ()
    audiences: tuple[str, ...] = ()
    algorithms: tuple[HookAlgorithm, ...] = ("ES384", "RS384", "ES256", "RS256")
    #: Values of `tenant` that may call; empty: any, and none.
    tenants: tuple[str, ...] = ()
    #: Calls a minute; more are answered 429.
    rate_per_minute: Annotated[int, Field(ge=1)] = 600

    @model_validator(mode="after")
    def _has_keys(self) -> HookClient:
        if (self.jwks_url is None) == (self.jwks_file is None):
            raise ValueError("want jwks_url or jwks_file")
        if self.jku and self.jwks_url is None:
            raise ValueError("jku wants jwks_url: a file has no other addresses")
        return self


class Fatigue(Table):
    """How often a person is told the same; a critical card is always shown."""

    #: After an accept a step is not shown for so long, unless what it says changes; then again if no order is known.
    accepted_h: Hours = 72.0
    #: After "remind me later".
    snooze_h: Hours = 24.0
    #: A card of indicator info that was shown to a user is not shown to the same user again for so long; 0: always.
    info_again_h: Hours = 0.0
    #: Cards a day and user, over all patients, beside critical ones.
    daily_cap: Annotated[int, Field(ge=1)] = 50
    #: What users of a role are told, by "<system>|<code>" of their PractitionerRole: pathways and checks. Who has no
    #: role of these is told everything.
    roles: dict[Annotated[str, Field(pattern=r"^\S*\|\S+$")], frozenset[str]] = Field(default_factory=dict)


class SmartApp(Table):
    """How the study page is launched from an EHR (SMART App Launch 2.2), by the `iss` that the EHR launches with.

    A confidential client has a secret; a public one has PKCE alone, as all have.
    """

    client_id: Annotated[str, Field(min_length=1)]
    client_secret_file: Path | None = None
    scopes: tuple[str, ...] = ("launch", "openid", "fhirUser", "patient/Patient.rs")


class HookDoor(BaseModel):
    """The part of the settings that CDS Hooks goes by."""

    #: EHRs that call CDS Hooks, by name; where there are some every call below /cds-services wants a token of theirs.
    hook_clients: dict[str, HookClient] = Field(default_factory=dict)
    #: Origins that may call CDS Hooks from a browser, e.g. https://sandbox.example.
    hook_origins: tuple[HttpUrl, ...] = ()
    #: Without any proof of who calls, on loopback alone, and said at every start and on every page: for development.
    insecure: bool = False
    #: How often a person is told the same.
    fatigue: Fatigue = Fatigue()
    #: Services that may act without asking (CDS Hooks systemActions), by id.
    system_actions: tuple[str, ...] = ()
    #: EHRs that can launch the study page (SMART App Launch), by the `iss` that they launch with.
    smart_apps: dict[HttpUrl, SmartApp] = Field(default_factory=dict)

    @property
    def hook_files(self) -> list[Path]:
        """The files that these settings name."""
        files = [client.jwks_file for client in self.hook_clients.values()]
        files += [app.client_secret_file for app in self.smart_apps.values()]
        return [file for file in files if file]
