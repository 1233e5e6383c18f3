"""What `cds check` asks of the pages: whether passwords travel safely, and whether anybody can sign in."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from cds.bootstrap import stores
from cds.checks import Check
from cds.clock import SystemClock
from cds.destinations import is_loopback
from cds.errors import SightlineError
from cds.settings import Settings
from cds.store.users import UserStore


def ui_checks(settings: Settings) -> list[Callable[[], Check]]:
    """The address of the pages, and the ways in."""
    found = [lambda: _address(settings), lambda: _ways_in(settings)]
    return [*found, lambda: _provider(settings)] if settings.ui_oidc else found


def _address(settings: Settings) -> Check:
    """Browsers keep a cookie to one host, and carry it unread by others, over https alone."""
    address = urlsplit(settings.ui_address)
    safe = address.scheme == "https" or is_loopback(address.hostname or "")
    how = "put a proxy with TLS in front, and name its address in CDS_UI_URL"
    return Check("pages", safe, f"{settings.ui_address}{'' if safe else ': passwords would cross unprotected'}", how)


def _ways_in(settings: Settings) -> Check:
    """Pages that nobody can open are no mistake of the settings alone."""
    if settings.ui_oidc is not None:
        return Check("sign-in", True, f"by {settings.ui_oidc.issuer}")
    if not settings.database_url and not (settings.data_dir / "app.sqlite").exists():
        return Check("sign-in", True, "no tables yet: cds serve creates them, then cds users add NAME --role ROLE")
    try:
        users = len(UserStore(stores(settings).database).all())
    except SightlineError:
        return Check("sign-in", True, "not known: look at the database first")
    how = "cds users add NAME --role radiologist, or set CDS_UI_OIDC"
    return Check("sign-in", True, f"{users or 'no'} local users may sign in", how, warns=not users)


def _provider(settings: Settings) -> Check:
    from adapters.oidc import Provider

    if settings.ui_oidc is None:
        return Check("OpenID Connect", True, "none is set (CDS_UI_OIDC)")
    try:
        issuer = Provider(settings.ui_oidc, "", SystemClock(settings.time_zone)).check()
    except SightlineError as error:
        return Check("OpenID Connect", False, str(error), "correct CDS_UI_OIDC: issuer, letter by letter")
    return Check("OpenID Connect", True, f"{issuer} answers")
