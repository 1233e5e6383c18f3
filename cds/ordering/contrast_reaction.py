"""An earlier reaction to contrast medium: whether it counts for the agent that is ordered, and what then.

SIRM-SIAAIC consensus, Clin Mol Allergy 2020;18:13, doi:10.1186/s12948-020-00128-3: another test or another class first,
then an allergist, then another agent. ACR Manual on Contrast Media: no cross-reactivity between classes. On
premedication the sources differ: ACR-AAAAI consensus, Radiology 2025;315:e240100, doi:10.1148/radiol.240100.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from cds import action_codes as actions
from cds import measurement_codes
from cds.codes import ValueSet
from cds.domain.coding import Coding
from cds.domain.ehr import Known, Unknown
from cds.domain.imaging_order import Contrast, Exam
from cds.domain.recommendation import Case, Indicator, PathwayOutcome, Recommendation, Source
from cds.ordering._kidney import MANUAL
from cds.ordering._lately import by_order
from cds.ordering._order import asked, needs
from cds.pathways import Rule, pathway
from cds.pathways._facts import Missing, words
from cds.pathways._reasoning import Reasoning
from cds.pathways._sentences import because
from cds.value_sets import ICD10_CM, SNOMED, Entry, icd, system

ID = "contrast_reaction"
TITLE = "Earlier reaction to contrast medium"
CONSENSUS = Source("SIRM-SIAAIC 2020, reactions to contrast media", "https://doi.org/10.1186/s12948-020-00128-3")
PREMEDICATION = Source("ACR-AAAAI 2025, reactions to contrast media", "https://doi.org/10.1148/radiol.240100")

GIVEN = Rule("given", "Without contrast medium the check of reactions is silent.")
NONE = Rule("none", "Where an allergy to contrast medium was searched for and not found the check is silent.")
NOT_KNOWN = Rule("not-known", "Where nobody could be asked for allergies the check of reactions cannot tell.")
SAME = Rule(
    "same-class", "After a reaction to the class that is ordered another test or another agent is chosen first."
)
UNSPECIFIED = Rule("unspecified", "A reaction of which the class is not on record counts for every class.")
OTHER = Rule(
    "other-class",
    "A reaction to another class is told, and whether there was one to this class is asked.",
    MANUAL,
)
BY_ORDER = Rule("by-order", "A reaction among the reasons of the order counts, whatever the record says.")
UNTOLD = Rule("untold", "Where the order does not say whether contrast is given a reaction on record is told.")
RADIOLOGIST = Rule("premedication", "Premedication is left to the radiologist, for the sources differ.", PREMEDICATION)

#: DICOM PS3.16 CID 12, by the class of the agent; what is not here counts for every class.
_CLASSES = {
    **dict.fromkeys(("353962003", "109218004", "109219007", "353903006", "109222009"), Contrast.IODINATED),
    **dict.fromkeys(("407976008", "712714000", "353946009", "768763008"), Contrast.GADOLINIUM),
}
#: As a reason of an order; none of them says of which class the agent was.
REASONS = ValueSet(
    "contrast-reaction-as-reason",
    "reaction to contrast medium",
    "condition",
    (
        *measurement_codes.CONTRAST_ALLERGY.entries,
        Entry(Coding(ICD10_CM, "Z91.041", "Radiographic dye allergy status"), "ICD-10-CM, tabular list", prefix=True),
        icd("T50.8", "Diagnostic agents", "ICD-10, WHO tabular list; adverse effects of them in ICD-10-CM"),
    ),
)
LIMITS = (
    "The record says neither how severe a reaction was nor of which kind: ask the patient.",
    "Of several allergies the newest alone is seen here: look at the whole list.",
)


@pathway(
    id=ID,
    title=TITLE,
    source=CONSENSUS,
    version="1.0.0",
    reviewed=date(2026, 11, 22),
    asks=(measurement_codes.CONTRAST_ALLERGY,),
    rules=(GIVEN, NONE, NOT_KNOWN, SAME, UNSPECIFIED, OTHER, BY_ORDER, UNTOLD, RADIOLOGIST),
    further=(MANUAL, PREMEDICATION),
    limits=LIMITS,
    urgent=True,
)
def contrast_reaction(case: Case) -> PathwayOutcome:
    """Say what an earlier reaction to contrast medium asks for."""
    found = Reasoning(ID, TITLE, CONSENSUS, case)
    wanted = asked(found)
    if not isinstance(wanted, tuple):
        return wanted
    mediums = _possible(wanted[1])
    if found.apply(GIVEN, not mediums):
        return found.nothing("no contrast medium is given")
    fact = case.ehr.allergy(measurement_codes.CONTRAST_ALLERGY.name)
    title = found.say("allergy to contrast medium")
    found.use(title, fact, words)
    told = sorted((one for one in wanted[0].reasons if REASONS.contains(one)), key=lambda one: (one.code, one.system))
    found.apply(BY_ORDER, by_order(found, REASONS))
    if found.apply(NOT_KNOWN, not told and isinstance(fact, Unknown)):
        found.unasked(title, fact, found.say("ask the patient for reactions to contrast medium"))
        return found.could_not_tell(found.say("it is not known whether there was a reaction to contrast medium"))
    agents = [*told, *([fact.value.code] if isinstance(fact, Known) else [])]
    if found.apply(NONE, not agents):
        return found.nothing("no allergy to contrast medium was found")
    found.apply(UNTOLD, wanted[1].contrast is None)
    return _reacted(found, agents, mediums)


def _possible(exam: Exam) -> frozenset[Contrast]:
    """The classes of contrast medium that may be given."""
    return frozenset(one for one in (Contrast.IODINATED, Contrast.GADOLINIUM) if needs(exam, one) is not False)


def _reacted(found: Reasoning, agents: Sequence[Coding], mediums: frozenset[Contrast]) -> PathwayOutcome:
    counting = [one for one in agents if _class(one) is None or _class(one) in mediums]
    named = ", ".join(one.code for one in counting or agents)
    found.apply(UNSPECIFIED, any(_class(one) is None for one in agents), named)
    if found.apply(OTHER, not counting, named):
        return _other_class(found)
    found.apply(SAME, True, named)
    found.apply(RADIOLOGIST, True)
    found.missing.append(
        Missing(found.say("severity of the reaction"), found.say("the record does not say it"), _ask(found))
    )
    found.recommend(
        Recommendation(
            key="alternative",
            action=found.say("Ask the radiologist for a test without this contrast medium, or for another agent"),
            code=actions.OTHER_TEST_OR_AGENT,
            reason=found.say("A reaction to contrast medium is on record."),
            source=CONSENSUS,
            because=because(found),
            would_change=(
                found.say("A reaction that was none: heat, nausea or fainting alone."),
                found.say("An allergist who tested the agent."),
            ),
        )
    )
    premedication = found.say("Premedication is the radiologist's decision: guidelines differ on it.")
    summary = found.say("Reaction to contrast medium on record: another test or agent first.")
    return _told(found, summary, Indicator.WARNING, (premedication,))


def _class(code: Coding) -> Contrast | None:
    return _CLASSES.get(code.code) if system(code.system) == SNOMED else None


def _ask(found: Reasoning) -> str:
    return found.say("ask the patient what happened, and how long ago")


def _other_class(found: Reasoning) -> PathwayOutcome:
    what = found.say("reaction to the class that is ordered")
    why = found.say("only the newest allergy is seen here")
    found.missing.append(Missing(what, why, found.say("look at the allergy list")))
    meaning = found.say("It is of another class than the one that is ordered, and such classes do not cross-react.")
    summary = found.say("Reaction to another class of contrast medium on record.")
    return _told(found, summary, Indicator.INFO, (meaning,))


def _told(found: Reasoning, summary: str, indicator: Indicator, meaning: tuple[str, ...]) -> PathwayOutcome:
    return found.advice(
        summary,
        indicator,
        (),
        seen=because(found),
        meaning=meaning,
        limits=tuple(map(found.say, LIMITS)),
        further=(MANUAL, PREMEDICATION),
    )
