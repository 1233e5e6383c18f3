"""What patients and their relatives are answered: no result is released to them by a hook (SAFETY section 4)."""

from __future__ import annotations

from cds.domain.hook import About
from cds.domain.recommendation import Indicator
from cds.hooks import parts
from cds.hooks.answer import Answer, Card
from cds.hooks.request import HookRequest
from cds.hooks.service import HookContext

_LAY = ("Patient/", "RelatedPerson/")


def answer(request: HookRequest, context: HookContext) -> Answer | None:
    """The whole answer to a user who is not of the care team; None for every other user.

    It is the same whoever the patient is and whatever is stored: nothing is looked up, so that nothing can leak.
    """
    if not request.user_id.startswith(_LAY):
        return None
    site = parts.Site(context.site_name, context.public_url)
    body: parts.Json = {
        "summary": "Results are released to the care team",
        "detail": "What Sightline says about images goes to the care team, who tell what it means. This says nothing "
        "about whether there is a result.",
        "indicator": Indicator.INFO.value,
        "source": parts.source(site, parts.FINDINGS, "imaging findings"),
    }
    whose = f"{request.fhir_server}/Patient/{request.patient_id}"
    return Answer((Card(About("care-team", ""), body),), whose=whose)
