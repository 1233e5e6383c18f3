"""What an order says beside its code, as the checks share it."""

from __future__ import annotations

from cds.condition_codes import CANCER, DIABETES
from cds.domain.coding import Coding
from cds.domain.ehr import EhrData
from cds.domain.recommendation import Source
from cds.ordering._order import DISEASE_MONTHS, known, stated
from cds.pathways._reasoning import Reasoning
from tests.unit.ordering_cases import CT_CHEST, ICD, asked_history, chart, draft, has, ordered

CHECK = "some_check"


def reasoning(data: EhrData, *reasons: Coding) -> Reasoning:
    """A check that looks at an order with some reasons."""
    return Reasoning(CHECK, "A check", Source("s", "https://example.org"), ordered(draft(CT_CHEST, *reasons), data))


def test_what_an_order_names_is_there_whatever_the_record_lacks() -> None:
    cancer = Coding(ICD, "C34.1")
    for data in (chart(), chart(searched=(CANCER,))):
        found = reasoning(data, cancer)
        assert known(found, CANCER) is True
        assert [(one.value, one.source) for one in found.inputs] == [("yes", "the order")]
        assert stated(found.case.order, DIABETES, CANCER) == cancer
        assert known(reasoning(data, cancer), CANCER, reasons=()) is not True


def test_what_the_record_has_goes_before_what_an_order_does_not_name() -> None:
    assert known(reasoning(chart(conditions=has(CANCER)), *asked_history(CHECK)), CANCER, back=DISEASE_MONTHS) is True


def test_a_form_denies_only_to_a_check_that_asks_how_far_a_search_reached() -> None:
    form = asked_history(CHECK)
    assert known(reasoning(chart(), *form), CANCER, back=DISEASE_MONTHS) is False
    assert known(reasoning(chart(), *form), CANCER) is None
    assert known(reasoning(chart(), *asked_history("other")), CANCER, back=DISEASE_MONTHS) is None
