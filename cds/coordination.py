"""The settings of follow-ups: who owns them, when somebody is reminded, and how they are reached."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from cds.destinations import FhirDestination, HttpUrl, MllpDestination, Table

Days = Annotated[int, Field(ge=1, le=366)]


class ReminderRoute(Table):
    """How somebody is reminded of follow-ups. Exactly the part that `channel` names must be given.

    hl7: an ORU^R01; fhir: a Communication about the follow-up's Task; both name the patient. mail and webhook do not.
    """

    #: A person or a queue, as the reminder and the page name them.
    recipient: Annotated[str, Field(min_length=1)]
    channel: Literal["hl7", "fhir", "mail", "webhook"]
    hl7: MllpDestination | None = None
    fhir: FhirDestination | None = None
    mail_to: str = ""
    webhook_url: HttpUrl | None = None

    @model_validator(mode="after")
    def _has_its_part(self) -> ReminderRoute:
        parts = {"hl7": self.hl7, "fhir": self.fhir, "mail": self.mail_to, "webhook": self.webhook_url}
        given = sorted(name for name, part in parts.items() if part)
        if given != [self.channel]:
            wanted = {"mail": "mail_to", "webhook": "webhook_url"}.get(self.channel, self.channel)
            raise ValueError(f"channel {self.channel} wants {wanted} and no other")
        return self

    @property
    def takes_tests(self) -> bool:
        """Whether it leads to a test system: then it takes nothing else (MSH-11; HL7 table 0103)."""
        to = self.hl7 or self.fhir
        return to is not None and to.processing != "P"

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that must be there."""
        ca = self.hl7.tls_ca_file if self.hl7 else None
        return (*(self.fhir.files if self.fhir else ()), *([ca] if ca else []))


class FollowUpCare(Table):
    """Who owns the follow-ups of a site, and the reminders: each step once for each due day, and recorded."""

    #: Who owns what nobody was made the owner of: by "<site>/<pathway>", "<site>/*", "<pathway>" or "*", the most
    #: exact first. A person or a role's queue. A follow-up without an owner is an alarm.
    owners: dict[Annotated[str, Field(pattern=r"^([^/\s]+/)?[^/\s]+$")], Annotated[str, Field(min_length=1)]] = Field(
        default_factory=dict
    )
    #: How long before its day a follow-up is due soon; how long after it the reminder goes to the first recipient,
    #: and then to the second.
    due_soon_days: Days = 14
    overdue_days: Days = 1
    escalate_days: Days = 14
    routes: dict[str, ReminderRoute] = Field(default_factory=dict)
    #: The route that is reminded first; and the second recipient. Empty: nobody.
    remind: str = ""
    escalate_to: str = ""
    #: How far back the share that was closed on time looks.
    on_time_days: Days = 365

    @model_validator(mode="after")
    def _leads_somewhere(self) -> FollowUpCare:
        for name, value in (("remind", self.remind), ("escalate_to", self.escalate_to)):
            if value and value not in self.routes:
                raise ValueError(f"{name} is {value}, which is none of the routes")
        if self.escalate_days < self.overdue_days:
            raise ValueError("escalate_days wants to be at least overdue_days")
        return self

    def owner(self, pathway: str, site: str) -> str:
        """Who owns the follow-ups of a pathway at a site ("" for the installation) by default; empty for nobody."""
        names = (f"{site}/{pathway}", f"{site}/*") if site else ()
        return next((self.owners[name] for name in (*names, pathway, "*") if name in self.owners), "")

    def mistakes(self, *, mail: bool, signs: bool) -> list[str]:
        """What the rest of the settings lacks: `mail` where there is a mail server, `signs` where we have keys."""
        ways = self.routes.items()
        found = ["CDS_SMTP_HOST is wanted where mail is sent"] if not mail and any(r.mail_to for _, r in ways) else []
        unsigned = [name for name, r in ways if r.fhir and r.fhir.signs and not signs]
        return found + [f"CDS_SMART_KEY_FILES is wanted: {name} has a client_id and no secret" for name in unsigned]
