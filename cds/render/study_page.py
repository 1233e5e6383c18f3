"""The study page as HTML: what was found, what the guidelines say to it, who has looked at it, and what it is not.

Readable by everybody (WCAG 2.2 AA): a language, headings in their order, a visible focus, nothing told by colour alone.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from urllib.parse import quote

from cds.domain.finding import Findings, Presence
from cds.domain.imaging import Study
from cds.domain.recommendation import Advice, CouldNotTell, NothingToSay, PathwayOutcome
from cds.domain.report import Report
from cds.hook_peers import INSECURE
from cds.pathways import card
from cds.render import gfm
from cds.render.document import Block, Heading, blocks
from cds.render.html import STYLE, body, words
from cds.study_pages import StudyPage

_OWN = (
    "h3,h4{font-size:1rem;margin:1rem 0 .2rem}nav,form{display:inline-block;margin-right:1rem}"
    "a{color:#0b4f9e}a:focus-visible,button:focus-visible{outline:.2rem solid #0b4f9e;outline-offset:.15rem}"
    "button{font:inherit;padding:.3rem .8rem;border:1px solid #111;background:#fff;color:#111}"
    ".advice{border:1px solid #767676;border-left-width:.4rem;padding:0 1rem .5rem;margin:.8rem 0}"
    ".warning{border-left-color:#8a5300}.critical{border-left-color:#b00020}"
    ".skip{position:absolute;left:-99rem}.skip:focus{position:static}"
    "@media (max-width:40rem){table{display:block;overflow-x:auto}}"
    "@media print{nav,form,.skip{display:none}}"
)
_STYLE = STYLE + _OWN


def _policy() -> str:
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    own = f"style-src 'sha256-{digest}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    return f"default-src 'none'; {own}"


#: The one style of these pages, by its digest; no script, no picture, nothing from elsewhere.
CONTENT_SECURITY_POLICY = _policy()

_LOGOUT = '<form method="post" action="{root}smart/logout"><button type="submit">Log out</button></form>'
_FINDINGS = Heading("Findings")
_RELEASED = (
    "Shown is what is released to the care team now. What waits for a radiologist's verification is not shown, so what "
    "is absent from this page is not a negative result."
)
_RECORD = (
    "Evaluated now, with what Sightline knows of this patient. A card in the EHR may say more, because it also has "
    "what the EHR sends with it."
)
#: A card has no headings, and sets its titles in bold; a page has them, for whoever listens to it.
_TITLED = re.compile(r"<p><strong>([^<]*)</strong></p>")
#: The indicator in words: no colour tells it alone.
_URGENCY = {"info": "Information", "warning": "Warning", "critical": "Critical"}


def render(page: StudyPage, *, site_name: str, time_zone: str, insecure: bool = False) -> str:
    """The page of one study; times are written in the site's zone."""
    drawn = _drawn(page, blocks(_findings_alone(page.report), site_name=site_name, time_zone=time_zone))
    nav = f'<nav aria-label="Studies"><a href="../studies">All studies of this patient</a></nav>{_logout("../")}'
    seen_by = f"<p>Opened by {words(page.visitor.user)}. Every view is recorded.</p>"
    return _frame(f"AI analysis - {site_name}", nav, "\n".join(drawn), seen_by, insecure=insecure)


def listing(studies: Sequence[Study], *, site_name: str, insecure: bool = False) -> str:
    """The studies of the patient in context, newest first."""
    rows = "\n".join(f'<li><a href="studies/{quote(one.public_id)}">{_title(one)}</a></li>' for one in studies)
    none = "<p>No AI result of this patient is released to the care team now. This is not a negative result.</p>"
    shown = f"<ul>\n{rows}\n</ul>" if studies else none
    main = f"<h1>AI analyses of this patient's images</h1>\n{shown}\n<p>{words(_RELEASED)}</p>"
    return _frame(f"AI analyses - {site_name}", _logout(""), main, "", insecure=insecure)


def message(title: str, text: str, *, site_name: str, insecure: bool = False) -> str:
    """A page that says one thing."""
    main = f"<h1>{words(title)}</h1>\n<p>{words(text)}</p>"
    return _frame(f"{title} - {site_name}", "", main, "", insecure=insecure)


def _drawn(page: StudyPage, told: Sequence[Block]) -> Iterator[str]:
    """Whose images they are comes first, then what to do about them, then all that was found."""
    at = told.index(_FINDINGS)
    yield body(told[:at])
    yield f"<p>{words(_verification(page.report))}</p>"
    yield "<h2>What guidelines say</h2>"
    yield f"<p>{words(_RECORD)}</p>"
    yield from _guidelines(page.said)
    yield body(told[at:])
    yield f"<p>{words(_RELEASED)}</p>"


def _verification(report: Report) -> str:
    """How much of what is shown a radiologist has looked at; who said what stands beside each finding."""
    shown = {
        f"{one.model}.{finding.key}"
        for one in report.outcomes
        if isinstance(one, Findings)
        for finding in one.findings
        if finding.presence is not Presence.NOT_EVALUATED
    }
    said = len(shown & {one.finding.name for one in report.verifications})
    whole = f"{len(shown)} {'finding' if len(shown) == 1 else 'findings'}"
    return f"Verified by a radiologist: {said or 'none'} of {whole}." if shown else "No finding could be evaluated."


def _findings_alone(report: Report) -> Report:
    """Without what the guidelines said when it was made: they are asked again."""
    return replace(report, decision=replace(report.decision, outcomes=()))


def _guidelines(said: Sequence[PathwayOutcome]) -> Iterator[str]:
    advised = [one for one in said if isinstance(one, Advice)]
    untold = [one for one in said if isinstance(one, CouldNotTell)]
    yield from map(_advice, advised)
    if not advised and any(isinstance(one, NothingToSay) for one in said):
        yield "<p>No guideline that could be evaluated has a step to suggest.</p>"
    if not said:
        yield "<p>No guideline is in use here for such a study.</p>"
    if untold:
        yield "<h3>Could not be evaluated</h3>"
        yield f"<ul>{''.join(map(_untold, untold))}</ul><p>This is not a negative result.</p>"


def _advice(said: Advice) -> str:
    urgency = said.indicator.value
    detail = _TITLED.sub(r"<h4>\1</h4>", gfm.html(card.detail(said)))
    return (
        f'<section class="advice {urgency}" lang="{words(said.language)}">'
        f"<h3>{words(said.title)}</h3><p><strong>{_URGENCY[urgency]}:</strong> {words(said.summary)}</p>"
        f"{detail}</section>"
    )


def _untold(one: CouldNotTell) -> str:
    missing = f" Missing: {words(', '.join(one.missing))}." if one.missing else ""
    how = f" How to get it: {words('; '.join(one.how_to_get))}." if one.how_to_get else ""
    return f"<li><strong>{words(one.title)}</strong>: {words(one.reason)}.{missing}{how}</li>"


def _title(study: Study) -> str:
    day = study.study_date.isoformat() if study.study_date else "date not known"
    return words(", ".join(filter(None, (day, " and ".join(study.modalities), study.description))))


def _logout(root: str) -> str:
    return _LOGOUT.format(root=root)


def _frame(title: str, nav: str, main: str, foot: str, *, insecure: bool) -> str:
    warned = f'<p class="notice">{words(INSECURE)}</p>\n' if insecure else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta name="robots" content="noindex">\n'
        f"<title>{words(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f'<a class="skip" href="#content">Skip to the content</a>\n{warned}<header>{nav}</header>\n'
        f'<main id="content">\n{main}\n</main>\n'
        f"<footer>{foot}<p>Advice for a clinician, who decides. Research software, not a cleared medical device.</p>"
        "</footer>\n</body>\n</html>\n"
    )
