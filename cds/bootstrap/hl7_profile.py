"""Sender profiles over the reader: what they change, and whether they hold together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from cds.checks import Check
from cds.clock import SystemClock
from cds.destinations import Sender, sender_name
from cds.domain.profile import FileEffect, ProfileSummary
from cds.errors import ConfigurationError, NotFound
from cds.settings import Settings

if TYPE_CHECKING:
    from adapters.hl7.profile import Profile


def effect(settings: Settings, name: str, data: bytes, *, of_all: bool) -> FileEffect:
    """What the profile of a sender does to its messages in a file; with `of_all` to all of them, whoever sent them.

    A name that a profile with `*` holds for stands for that sender's messages alone. Raise NotFound where CDS_SENDERS
    has no profile for it, ConfigurationError where its profile is wrong.
    """
    from adapters.hl7.profile_effect import effect_on_file
    from adapters.hl7.read import Reader

    profile = _profile(settings.senders, name)

    def reader(senders: dict[str, Sender]) -> Reader:
        return Reader(
            settings.assigning_authority,
            settings.accession_issuer,
            settings.accession_fallback,
            settings.time_zone,
            senders,
        )

    configured = settings.senders if name in settings.senders else {name: profile}
    everybody, wanted = ({"*|*": profile}, "*|*") if of_all else (configured, name)
    found = effect_on_file(wanted, data, (reader({}), reader(everybody)), SystemClock(settings.time_zone).now())
    return replace(found, sender=name)


def _profile(senders: Mapping[str, Sender], name: str) -> Sender:
    """By its name, else by that of a sender it holds for; raise NotFound."""
    application, bar, facility = name.partition("|")
    found = name if name in senders else None
    if found is None and bar and "*" not in (application, facility):
        found = sender_name(senders, application, facility)
    if found is None:
        known = ", ".join(sorted(senders)) or "none"
        raise NotFound(f"want a sender of CDS_SENDERS, written MSH-3|MSH-4; configured: {known}")
    return senders[found]


def summaries(settings: Settings) -> list[ProfileSummary]:
    """What each profile changes, code files read; raise ConfigurationError where one is wrong."""
    from adapters.hl7.profile_setup import compile_profiles

    profiles = compile_profiles(settings.senders)
    return [_summary(name, settings.senders[name], profile) for name, profile in sorted(profiles.items())]


def check(settings: Settings) -> Check:
    """Every profile holds together and its code files can be read: for `cds check`."""
    try:
        found = summaries(settings)
    except ConfigurationError as error:
        return Check("sender profiles", False, "; ".join(error.mistakes), "correct CDS_SENDERS or the file it names")
    return Check("sender profiles", True, f"{len(found)} in CDS_SENDERS, and their code files can be read")


def _summary(name: str, sender: Sender, profile: Profile) -> ProfileSummary:
    own = {
        "assigning authority": sender.assigning_authority,
        "accession issuer": sender.accession_issuer,
        "accession fallback": sender.accession_fallback,
        "acknowledgment": sender.acknowledgment if sender.acknowledgment != "auto" else None,
        "batch acknowledgment": sender.batch_acknowledgment if sender.batch_acknowledgment != "batch" else None,
        "replies to": f"{sender.reply_to.host}:{sender.reply_to.port}" if sender.reply_to else None,
        "normal interval": f"{sender.expected_interval_s:g} s" if sender.expected_interval_s else None,
    }
    forced = f"{profile.charset} whatever MSH-18 says" if profile.charset else ""
    return ProfileSummary(
        sender=name,
        character_set=forced or sender.character_set,
        time_zone=sender.time_zone or "",
        fields=tuple(f"{rule.target} = {rule.said}" for rule in profile.fields),
        values=tuple(f"{path}: {len(table)}" for path, table in profile.values),
        codes=tuple(f"{path}: {len(table)}" for path, table in profile.codes),
        other=tuple(f"{what} {said or 'none'}" for what, said in own.items() if said is not None),
    )
