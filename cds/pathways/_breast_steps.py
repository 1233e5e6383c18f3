"""The next step by BI-RADS: a biopsy, a recall, or imaging after 6 months, with the breast and the day by which."""

from __future__ import annotations

from datetime import date, timedelta

from cds import action_codes as actions
from cds import finding_codes, procedure_codes
from cds.domain.coding import Coding
from cds.domain.order import Priority
from cds.domain.recommendation import Recommendation, Source
from cds.pathways._bedside import any_of
from cds.pathways._facts import Seen, add_months
from cds.pathways._guards import requested
from cds.pathways._reasoning import Reasoning
from cds.pathways._sentences import because, done_from, done_since_images, ordered_already
from cds.pathways.declaration import Option, Rule, number
from cds.risk import Scored
from cds.risk.bi_rads import SCORE as BI_RADS

ID = "breast"
NBCCEDP = Source("NBCCEDP, 60 days to diagnosis", "https://doi.org/10.2105/AJPH.2009.160184")

RECALL = Rule("recall", "A BI-RADS assessment of 0 is recalled within 60 days.", source=NBCCEDP)
SHORT = Rule("short", "A BI-RADS assessment of 3 is imaged again after 6 months.", source=BI_RADS.source)
BIOPSY = Rule("biopsy", "A BI-RADS assessment of 4 or 5 is biopsied within 60 days.", source=NBCCEDP)
WINDOW = Rule("window", "The imaging after 6 months is planned for the last tenth of them.")
OVERDUE = Rule("overdue", "What BI-RADS asks for and is not known to be done by its day is overdue since then.")
IMAGED_SINCE = Rule("imaged-since", "Where the breast was imaged again since, a recall is not asked for again.")
FOLLOWED = Rule(
    "followed", "Imaging from 3 months on stands for the follow-up after 6 months; earlier imaging is told."
)
ORDERED = Rule("ordered", "What is ordered for the breast already is not asked for again.")
ASKED_BEFORE = Rule("asked-before", "A biopsy that was asked for before these images is asked for again.")
RULES = (RECALL, SHORT, BIOPSY, WINDOW, OVERDUE, IMAGED_SINCE, FOLLOWED, ORDERED, ASKED_BEFORE)

CLOSE_DAYS = Option("close_days", "A recall or a biopsy is done within", "60", unit="d", low=14, high=60)

IMAGING = (procedure_codes.MAMMOGRAPHY, procedure_codes.BREAST_MRI)
_FOLLOW_UP_MONTHS = 6


def category_of(seen: Seen) -> str:
    category = seen.finding.category
    return category.code.lower() if category and category.system == finding_codes.BIRADS else ""


def category_told(found: Reasoning, seen: Seen) -> str:
    """A category with its breast, for the reader."""
    side = seen.finding.laterality
    return f"{category_of(seen).upper()} {found.say(side)}" if side else category_of(seen).upper()


def next_step(found: Reasoning, given: dict[int, tuple[Seen, ...]]) -> None:
    """The one step that some categories ask for."""
    if not given:
        return
    answer = BI_RADS({"category": max(given)})
    meaning = str(answer.outputs["meaning"]) if isinstance(answer, Scored) else ""
    seen = [one for each in given.values() for one in each]
    said = ", ".join(sorted({category_told(found, one) for one in seen}))
    key, rule, action, text, priority = _steps(found)[meaning]
    found.apply(rule, True, said)
    due = _due(found, rule)
    if _settled(found, rule, action, due):
        return
    why = found.say("BI-RADS {category} on {day}.", category=said, day=found.case.study_date)
    late = found.say("Overdue since {day}, unless it was done.", day=due) if due < found.case.today else ""
    found.recommend(
        Recommendation(
            key=key,
            action=f"{text} ({sides})" if (sides := _sides(found, seen)) else text,
            code=action,
            reason=f"{why} {late}".strip(),
            source=BI_RADS.source,
            priority=priority,
            not_before=_not_before(found, due) if rule is SHORT else None,
            by=max(due, found.case.today),
            because=because(found, found.say("BI-RADS assessment")),
            acr_category=3 if rule is BIOPSY else None,
            would_change=(found.say("It was done elsewhere, or an earlier image shows no change."),),
        )
    )


def _due(found: Reasoning, rule: Rule) -> date:
    """The last day of a step."""
    start = found.case.study_date
    if rule is SHORT:
        return add_months(start, _FOLLOW_UP_MONTHS)
    return start + timedelta(days=number(found.case, ID, CLOSE_DAYS))


def _not_before(found: Reasoning, due: date) -> date | None:
    """The first day of the last tenth of the interval; None where it is due already."""
    found.apply(WINDOW, True)
    first = due - timedelta(days=(due - found.case.study_date).days // 10)
    return first if found.case.today < first else None


def _sides(found: Reasoning, seen: list[Seen]) -> str:
    """The breasts of a step; "" where nobody said of one which it is."""
    sides = sorted({one.finding.laterality for one in seen})
    return "" if "" in sides else ", ".join(found.say(side) for side in sides)


def _settled(found: Reasoning, rule: Rule, action: Coding, due: date) -> bool:
    """Whether a step was asked for or done; that it is late is told all the same."""
    overdue = found.apply(OVERDUE, due < found.case.today)
    if found.apply(ORDERED, ordered_already(found, action, urgent=rule is BIOPSY)):
        if overdue:
            found.note(found.say("It was asked for, and is overdue since {day}, unless it was done.", day=due))
        return True
    if rule is BIOPSY:
        found.apply(ASKED_BEFORE, requested(found.case, action) is not None)
        return False
    done = _imaged_from_the_middle(found) if rule is SHORT else _imaged_since(found)
    if found.apply(FOLLOWED if rule is SHORT else IMAGED_SINCE, done):
        found.note(found.say("The breast was imaged again since: go by that."), "the breast was imaged again since")
        return True
    return False


def _steps(found: Reasoning) -> dict[str, tuple[str, Rule, Coding, str, Priority]]:
    """What BI-RADS asks, by the meaning of the category."""
    biopsy = ("biopsy", BIOPSY, actions.BREAST_BIOPSY, found.say("Breast biopsy"), Priority.URGENT)
    return {
        "incomplete": (
            "recall",
            RECALL,
            actions.BREAST_RECALL,
            found.say("Recall for further breast imaging"),
            Priority.ROUTINE,
        ),
        "probably_benign_6mo": (
            "short-follow-up",
            SHORT,
            actions.BREAST_SHORT_FOLLOW_UP,
            found.say("Breast imaging after 6 months"),
            Priority.ROUTINE,
        ),
        "suspicious_biopsy": biopsy,
        "highly_suggestive_biopsy": biopsy,
    }


def _imaged_since(found: Reasoning) -> bool | None:
    return any_of([done_since_images(found, one) for one in IMAGING])


def _imaged_from_the_middle(found: Reasoning) -> bool | None:
    middle = add_months(found.case.study_date, _FOLLOW_UP_MONTHS // 2)
    return any_of([done_from(found, one, middle) for one in IMAGING])
