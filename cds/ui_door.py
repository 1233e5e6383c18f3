"""The part of the settings that the pages go by: where they are, and who signs in how."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, model_validator

from cds.destinations import HttpUrl, Port, Table, is_loopback
from cds.domain.staff import Role

_Name = Annotated[str, Field(min_length=1)]
_UNTOLD: Final = "CDS_UI_HOST is not loopback: set CDS_UI_URL, or CDS_BASE_URL where one host serves both"


class UiOidc(Table):
    """The OpenID Connect provider that people sign in with (OpenID Connect Core 1.0, authorization code and PKCE)."""

    issuer: HttpUrl
    client_id: _Name
    #: None: a public client, which PKCE alone protects.
    client_secret_file: Path | None = None
    scopes: tuple[_Name, ...] = ("openid", "profile")
    #: The claim that names a person in the audit log; one that the provider never gives to somebody else.
    user_claim: _Name = "sub"
    #: Where the ID token says what somebody is: a claim, or a path of claims with dots.
    role_claim: _Name = "groups"
    #: Value of that claim → roles. Who has none of these is refused.
    roles: dict[_Name, frozenset[Role]] = Field(min_length=1)
    #: What the page's button says.
    title: _Name = "your organisation"

    @model_validator(mode="after")
    def _can_be_told(self) -> UiOidc:
        if "openid" not in self.scopes:
            raise ValueError("scopes: want openid among them")
        return self


class UiDoor(BaseModel):
    """The part of the settings that the pages go by."""

    ui_host: str = "127.0.0.1"
    ui_port: Port = 8081
    ui_workers: Annotated[int, Field(ge=1, le=64)] = 2
    ui_threads: Annotated[int, Field(ge=1, le=64)] = 8
    #: The address of the pages as browsers know it; unset: that of CDS_BASE_URL.
    ui_url: HttpUrl | None = None
    ui_oidc: UiOidc | None = None
    #: A session that nobody uses ends after so long, and each after so many hours.
    ui_idle_minutes: Annotated[float, Field(gt=0, le=24 * 60)] = 30.0
    ui_session_hours: Annotated[float, Field(gt=0, le=24 * 7)] = 12.0

    def open_ui_doors(self, base_url: str) -> list[str]:
        """What is wrong with where the pages are."""
        return [] if is_loopback(self.ui_host) or self.ui_url or base_url else [_UNTOLD]

    def pages_at(self, base_url: str) -> str:
        """The address of the pages, without a trailing slash.

        One public host serves both behind a proxy; on one machine the ports tell them apart.
        """
        if self.ui_url is not None:
            return self.ui_url.rstrip("/")
        host = urlsplit(base_url).hostname if base_url else self.ui_host
        if host and not is_loopback(host):
            return base_url.rstrip("/") or f"http://{host}:{self.ui_port}"
        return f"http://{f'[{host}]' if ':' in (host or '') else host}:{self.ui_port}"

    @property
    def ui_files(self) -> list[Path]:
        """The files that these settings name."""
        secret = self.ui_oidc.client_secret_file if self.ui_oidc else None
        return [secret] if secret else []
