"""What the pathways of pneumonia share: signs of it on the images together with an acute illness in the record."""

from __future__ import annotations

from dataclasses import dataclass

from cds import condition_codes, finding_codes
from cds.domain.recommendation import CouldNotTell, NothingToSay
from cds.pathways._bedside import any_of, near, place, symptoms_near, unasked_symptoms, undated
from cds.pathways._facts import Missing, Seen, findings, refused, where, words
from cds.pathways._reasoning import Reasoning
from cds.pathways._sentences import certainty
from cds.pathways.declaration import Option

#: An acute illness lasts up to 21 days: NICE CG191, lower respiratory tract infection.
SYMPTOM_DAYS = Option("symptom_days", "Days around the images in which a symptom counts", "7", "days", 1, 21)
SIGNS = (finding_codes.CONSOLIDATION, finding_codes.PNEUMONIA, finding_codes.PLEURAL_EFFUSION)
SYMPTOMS = (
    condition_codes.COUGH,
    condition_codes.FEVER,
    condition_codes.DYSPNOEA,
    condition_codes.CONFUSION,
)
_OF_INFECTION = (condition_codes.COUGH, condition_codes.FEVER)
_HOW_LOOK = "look at the images, or ask the radiologist"


@dataclass(frozen=True, slots=True)
class Signs:
    """What was seen on the images: consolidation or pneumonia, and pleural effusion."""

    infiltrates: tuple[Seen, ...]
    effusions: tuple[Seen, ...]

    @property
    def all(self) -> tuple[Seen, ...]:
        """All that was seen, infiltrates first."""
        return (*self.infiltrates, *self.effusions)


def signs(found: Reasoning) -> Signs | NothingToSay | CouldNotTell:
    """What was seen; where nothing was, whether it was looked for."""
    looked = findings(found.case, *SIGNS)
    present = sorted((one for one in looked if one.present), key=place)
    if not present:
        if reasons := refused(found.case, *SIGNS):
            why = "; ".join(reasons)
            found.missing.append(Missing(found.say("signs of pneumonia"), why, found.say(_HOW_LOOK)))
            return found.could_not_tell(found.say("the signs of pneumonia could not be evaluated"))
        if not looked:
            return found.nothing("no sign of pneumonia was looked for on this study")
        return found.nothing("no sign of pneumonia was detected on the images, which does not exclude it")
    effusions = tuple(one for one in present if one.finding.code.same(finding_codes.PLEURAL_EFFUSION))
    return Signs(tuple(one for one in present if one not in effusions), effusions)


def acutely_ill(found: Reasoning, days: int, *, effusion_alone: bool) -> bool | None:
    """Whether a symptom or a diagnosis of pneumonia was stated around the day of the images; missing where not known.

    An effusion alone has many causes: with it only what speaks of an infection counts.
    """
    counts = _OF_INFECTION if effusion_alone else SYMPTOMS
    told = symptoms_near(found, counts, days)
    diagnosis = found.case.ehr.condition(condition_codes.PNEUMONIA.name)
    diagnosed = near(diagnosis, found.case.study_date, days)
    if diagnosed:
        found.use(condition_codes.PNEUMONIA.title, diagnosis, words)
    held = any_of((*told.values(), diagnosed))
    if held is None:
        unasked_symptoms(found, counts)
        undated(found, condition_codes.PNEUMONIA, diagnosis, found.say("look at the problem list"))
    return held


def show(found: Reasoning, seen: Signs) -> None:
    """What was seen, among the values used."""
    for one in seen.all:
        found.measured(title(one), certainty(found, one), where(found.case, one))


def title(seen: Seen) -> str:
    """How a finding is called."""
    return seen.finding.code.display or seen.finding.key
