"""From an announcement to a complete study, over a PACS and tables in memory."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from cds.bootstrap.dicom import ModelReader
from cds.domain.identity import Identifier
from cds.domain.order import OrderStatus, ServiceRequest
from cds.domain.retrieval import NOT_KNOWN, Expected, Purpose, RemoteInstance, RetrievalState
from cds.errors import PeerRefused, SightlineError, Unavailable
from cds.patience import StepFailed, delay_s, patiently
from cds.retrieving import following, steps
from cds.retrieving.parts import Reader
from cds.retrieving.priors import priors
from models.registry import load
from tests.unit.retrieval_parts import ENHANCED, NOW, STUDY, Pacs, Site, ct, here, remote, site

MANIFEST = load()["ct_lung_density"]
LUNG: Reader = ModelReader(replace(MANIFEST, inputs=replace(MANIFEST.inputs, priors=0)))
COMPARING: Reader = ModelReader(replace(MANIFEST, inputs=replace(MANIFEST.inputs, priors=2)))
WHO = Identifier("P-1", "HOSPITAL")
ACCESSION = Identifier("ACC-1", "HOSPITAL")


def ordered(days_ago: int = 0) -> ServiceRequest:
    return ServiceRequest(None, None, ACCESSION, WHO, OrderStatus.ACTIVE, requested_at=NOW - timedelta(days=days_ago))


def run(one: Site, retrieval_id: str, *, die_at: str = "") -> str:
    """The retrieval to its end, as the engine runs it; `die_at` is a step that kills it once its work is done."""

    def step(name: str, function: Any) -> Any:
        def said(*arguments: Any) -> dict[str, Any]:
            try:
                value = function(one.line, *arguments)
            except Unavailable as error:
                return {"waits": str(error)}
            except SightlineError as error:
                return {"failed": str(error)}
            if name == die_at:
                raise KeyboardInterrupt
            return {"value": value}

        return said

    def fetch(source: str, series_uid: str, _priority: int) -> Any:
        return made["fetch"](retrieval_id, source, series_uid)

    functions = {"look": steps.look, "fetch": steps.fetch, "verify": steps.verify, "priors": priors, "end": steps.end}
    made = {name: step(name, function) for name, function in functions.items()}
    return following.follow({**made, "fetch": fetch}, retrieval_id, one.line.count_interval_s, one.clock.sleep)


def state(one: Site, retrieval_id: str) -> RetrievalState:
    return one.retrievals.retrieval(retrieval_id).state


def test_an_announced_study_is_fetched_whole_and_counted_twice() -> None:
    pacs = Pacs()
    pacs.add(remote(), (ct(1), 5), (ct(2), 3))
    one = site(pacs, readers=[LUNG])
    wanted = one.want(announced="HL7 RIS")
    assert run(one, wanted) == "done"
    assert len(one.index.known(STUDY)) == 8
    assert state(one, wanted) is RetrievalState.DONE
    assert one.clock.at >= NOW + timedelta(seconds=one.line.count_interval_s)
    assert "the same counts twice" in one.retrievals.retrieval(wanted).reason
    assert one.retrievals.held == []


def test_only_series_that_an_installed_model_reads_are_fetched_and_the_others_have_a_reason() -> None:
    pacs = Pacs()
    pacs.add(remote(), (ct(1), 4), (ct(2, modality="SR"), 1), (ct(3, body_part="HEAD"), 9), (ct(4), 2))
    pacs.images[ct(4).series_instance_uid] = [
        replace(image, sop_class_uid="1.2.840.10008.5.1.4.1.1.7") for image in pacs.images[ct(4).series_instance_uid]
    ]
    one = site(pacs, readers=[LUNG])
    assert run(one, one.want()) == "done"
    assert [uid for uid, _ in pacs.fetched] == [ct(1).series_instance_uid]
    said = {s.series.number: s.reason for s in one.retrievals.stated(STUDY)}
    assert said[1] == ""
    assert "not CT" in said[2]
    assert "body part" in said[3]
    assert "SOP class" in said[4]
    found = next(detail for outcome, detail in one.retrievals.told if outcome.startswith("found in"))
    assert len(found) == 4


def test_a_series_of_another_kind_of_ct_is_wanted_too() -> None:
    pacs = Pacs()
    pacs.add(remote(), (ct(1), 1))
    uid = ct(1).series_instance_uid
    pacs.images[uid] = [replace(image, sop_class_uid=ENHANCED) for image in pacs.images[uid]]
    one = site(pacs, readers=[LUNG])
    assert run(one, one.want()) == "done"
    assert pacs.fetched == [(uid, 1)]


def test_a_model_that_a_person_switched_off_wants_nothing() -> None:
    pacs = Pacs()
    pacs.add(remote(), (ct(1), 4))
    one = site(pacs, readers=[LUNG])
    one.switches.models.add(LUNG.id)
    wanted = one.want()
    assert run(one, wanted) == steps.NOTHING
    assert pacs.fetched == []
    assert state(one, wanted) is RetrievalState.DONE


def test_what_is_here_already_or_was_rejected_is_not_fetched() -> None:
    pacs = Pacs()
    pacs.add(remote(), (ct(1), 5))
    one = site(pacs, readers=[LUNG])
    uid = ct(1).series_instance_uid
    one.index.put(RemoteInstance(STUDY, uid, f"{uid}.1"))
    one.index.rejected[STUDY] = {f"{uid}.2"}
    assert run(one, one.want()) == "done"
    assert pacs.fetched == [(uid, 3)]


def test_a_study_that_is_here_already_is_only_counted() -> None:
    pacs = Pacs()
    pacs.add(remote(), (ct(1), 5))
    one = site(pacs, readers=[LUNG])
    for image in pacs.images[ct(1).series_instance_uid]:
        one.index.put(image)
    assert run(one, one.want()) == "done"
    assert pacs.fetched == []


def test_a_transfer_that_breaks_off_goes_on_with_what_is_missing() -> None:
    pacs = Pacs(breaks_after=3)
    pacs.add(remote(), (ct(1), 10))
    one = site(pacs, readers=[LUNG])
    assert run(one, one.want()) == "done"
    assert pacs.fetched == [(ct(1).series_instance_uid, 10), (ct(1).series_instance_uid, 7)]


@pytest.mark.parametrize("step", ["look", "fetch", "verify", "priors"])
def test_a_worker_that_dies_after_a_step_starts_again_and_ends_with_the_same(step: str) -> None:
    pacs = Pacs()
    pacs.add(remote(), (ct(1), 5), (ct(2), 5))
    one = site(pacs, readers=[COMPARING])
    one.index.studies[STUDY] = here()
    wanted = one.want()
    with pytest.raises(KeyboardInterrupt):
        run(one, wanted, die_at=step)
    assert run(one, wanted) == "done"
    assert sum(count for _, count in pacs.fetched) == 10
    assert state(one, wanted) is RetrievalState.DONE


def test_a_study_that_still_grows_in_the_pacs_is_followed_until_it_is_whole() -> None:
    pacs = Pacs()
    pacs.add(remote(), (ct(1), 5))
    one = site(pacs, readers=[LUNG])
    sleep = one.clock.sleep

    def while_it_sleeps(seconds: float) -> None:
        sleep(seconds)
        if pacs.held[STUDY][0].instances == 5:
            pacs.add(remote(), (ct(1), 8), (ct(2), 2))

    one.clock.sleep = while_it_sleeps
    assert run(one, one.want()) == "done"
    assert len(one.index.known(STUDY)) == 10
    assert all(stated.agreed for stated in one.retrievals.stated(STUDY))


def test_instances_that_never_come_are_tried_a_few_times_and_then_held() -> None:
    pacs = Pacs(refuses=frozenset({f"{ct(3).series_instance_uid}.2"}))
    pacs.add(remote(), (ct(3), 4))
    one = site(pacs, readers=[LUNG])
    wanted = one.want()
    assert run(one, wanted) == steps.FAILED
    [(_, reason)] = one.retrievals.held
    assert reason == "pacs: 3 of 4 instances of series 3 (CT) are here"
    assert len(pacs.fetched) == following.IN_VAIN + 1


def test_a_pacs_that_lists_no_instances_is_believed_its_counts() -> None:
    pacs = Pacs(lists_instances=False)
    pacs.add(remote(), (ct(1), 5))
    one = site(pacs, readers=[LUNG])
    assert run(one, one.want()) == "done"
    assert len(one.index.known(STUDY)) == 5


def test_a_pacs_that_states_no_counts_is_counted_by_its_instances() -> None:
    pacs = Pacs()
    pacs.add(remote(), (ct(1), 5))
    pacs.held[STUDY] = [replace(pacs.held[STUDY][0], instances=None)]
    one = site(pacs, readers=[LUNG])
    assert run(one, one.want()) == "done"
    assert one.retrievals.stated(STUDY)[0].series.instances == 5


def test_an_announced_study_is_waited_for() -> None:
    pacs = Pacs()
    one = site(pacs, readers=[LUNG])
    sleep = one.clock.sleep

    def until_it_is_archived(seconds: float) -> None:
        sleep(seconds)
        if one.clock.at > NOW + timedelta(minutes=2):
            pacs.add(remote(), (ct(1), 2))

    one.clock.sleep = until_it_is_archived
    assert run(one, one.want(announced="HL7 RIS")) == "done"


def test_an_announced_study_that_no_pacs_ever_knows_is_held() -> None:
    one = site(Pacs(), readers=[LUNG])
    wanted = one.want(announced="HL7 RIS")
    assert run(one, wanted) == steps.UNKNOWN
    assert one.retrievals.held == [(wanted, NOT_KNOWN)]
    assert timedelta(minutes=5) < one.clock.at - NOW < timedelta(minutes=20)


def test_a_pushed_study_that_no_pacs_knows_waits_for_nobody() -> None:
    one = site(Pacs(), readers=[LUNG])
    wanted = one.want()
    assert run(one, wanted) == steps.UNKNOWN
    assert one.retrievals.held == []
    assert one.retrievals.retrieval(wanted).reason == NOT_KNOWN
    assert one.clock.at == NOW


def test_a_pacs_that_is_away_is_waited_for_and_another_that_has_the_study_is_not() -> None:
    away, other = Pacs("away", error=Unavailable("away")), Pacs("other")
    one = site(away, other, readers=[LUNG])
    wanted = one.want()
    assert run(one, wanted) == steps.FAILED
    assert "away" in one.retrievals.held[0][1]
    other.add(remote(), (ct(1), 3))
    assert run(one, wanted) == "done"
    assert one.retrievals.retrieval(wanted).source == "other"


def test_a_pacs_that_refuses_to_answer_is_named_where_no_other_knows_the_study() -> None:
    one = site(Pacs(error=PeerRefused("wants other credentials")), readers=[LUNG])
    wanted = one.want()
    assert run(one, wanted) == steps.UNKNOWN
    assert one.retrievals.retrieval(wanted).reason == "pacs: wants other credentials"


def test_only_the_pacs_whose_issuers_fit_are_asked() -> None:
    mine, foreign = Pacs("mine"), Pacs("foreign")
    one = site(
        foreign,
        mine,
        readers=[LUNG],
        expected=Expected((WHO,)),
        foreign={"issuers": ("CLINIC",)},
        mine={"issuers": ("HOSPITAL",)},
    )
    mine.add(remote(), (ct(1), 1))
    foreign.add(remote(), (ct(1), 1))
    wanted = one.want()
    assert steps.first_source(one.line, one.retrievals.retrieval(wanted)) == "mine"
    assert run(one, wanted) == "done"
    assert foreign.asked == []


def test_an_accession_number_becomes_the_studies_that_have_it() -> None:
    pacs = Pacs()
    for uid in ("1.2.3", "1.2.4"):
        pacs.add(remote(uid), (ct(1, study=uid), 2))
    one = site(pacs, readers=[LUNG], expected=Expected((WHO,), None, (ordered(),)))
    wanted = one.want("", ACCESSION, announced="HL7 RIS", priority=1)
    assert run(one, wanted) == "done"
    [other] = one.retrievals.pending()
    assert {one.retrievals.retrieval(wanted).study_instance_uid, other.study_instance_uid} == {"1.2.3", "1.2.4"}
    assert (other.announced, other.priority) == ("HL7 RIS", 1)
    assert run(one, other.id) == "done"
    assert all(len(one.index.known(uid)) == 2 for uid in ("1.2.3", "1.2.4"))


def test_an_accession_number_of_a_study_that_is_fetched_by_its_uid_fetches_nothing_itself() -> None:
    pacs = Pacs()
    pacs.add(remote(), (ct(1), 2))
    one = site(pacs, readers=[LUNG])
    by_uid, by_number = one.want(), one.want("", ACCESSION, announced="HL7 RIS")
    assert run(one, by_number) == steps.NOTHING
    assert run(one, by_uid) == "done"


def test_an_accession_number_of_another_patient_is_not_fetched_and_held() -> None:
    pacs = Pacs()
    pacs.add(remote(patient_id="P-9"), (ct(1), 2))
    one = site(pacs, readers=[LUNG], expected=Expected((WHO,), None, (ordered(),)))
    wanted = one.want("", ACCESSION, announced="HL7 RIS")
    assert run(one, wanted) == steps.DOUBT
    assert one.retrievals.pending() == []
    assert "another patient's" in one.retrievals.held[0][1]
    assert "P-9" not in one.retrievals.held[0][1]


@pytest.mark.parametrize("issuer", ["HOSPITAL", ""])
def test_an_identifier_without_an_issuer_has_the_sites(issuer: str) -> None:
    pacs = Pacs()
    pacs.add(remote(issuer_of_patient_id=issuer), (ct(1), 2))
    one = site(pacs, readers=[LUNG], expected=Expected((WHO,), None, (ordered(),)))
    wanted = one.want("", ACCESSION, announced="HL7 RIS")
    assert run(one, wanted) == "done"
    assert one.retrievals.retrieval(wanted).study_instance_uid == STUDY


def test_a_reused_accession_number_is_not_fetched_where_the_date_does_not_fit() -> None:
    pacs = Pacs()
    pacs.add(remote("1.2.4"), (ct(1, study="1.2.4"), 2))
    pacs.add(remote(study_date=NOW.date() - timedelta(days=900)), (ct(1), 2))
    one = site(pacs, readers=[LUNG], expected=Expected((WHO,), None, (ordered(days_ago=900),)))
    wanted = one.want("", ACCESSION, announced="HL7 RIS")
    assert run(one, wanted) == "done"
    assert one.retrievals.retrieval(wanted).study_instance_uid == STUDY


def earlier(days: int, number: int = 0, **changes: object) -> Any:
    return remote(f"1.2.9.{days}.{number}", study_date=NOW.date() - timedelta(days=days), **changes)


def with_earlier(one: Pacs, *studies: Any, body_part: str = "CHEST") -> None:
    one.add(remote(), (ct(1), 2))
    for study in studies:
        one.add(study, (ct(1, study=study.study_instance_uid, body_part=body_part), 4))


def test_the_newest_earlier_studies_of_the_patient_and_body_part_are_priors() -> None:
    pacs = Pacs()
    with_earlier(pacs, earlier(700), earlier(400), earlier(30))
    one = site(pacs, readers=[COMPARING], pacs={"priors": 2})
    one.index.studies[STUDY] = here()
    assert run(one, one.want(priority=3)) == "done"
    assert [prior for _, prior, _ in one.retrievals.links] == ["1.2.9.30.0", "1.2.9.400.0"]
    assert {(r.purpose, r.priority) for r in one.retrievals.pending()} == {(Purpose.PRIOR, 3)}
    for prior in one.retrievals.pending():
        assert run(one, prior.id) == "done"
        assert len(one.index.known(prior.study_instance_uid)) == 4
    assert len(one.retrievals.links) == 2


def test_a_site_may_want_fewer_priors_than_the_model() -> None:
    pacs = Pacs()
    with_earlier(pacs, earlier(400), earlier(30))
    one = site(pacs, readers=[COMPARING])
    one.index.studies[STUDY] = here()
    run(one, one.want())
    assert [prior for _, prior, _ in one.retrievals.links] == ["1.2.9.30.0"]


def test_a_model_that_compares_with_nothing_wants_no_priors() -> None:
    pacs = Pacs()
    with_earlier(pacs, earlier(30))
    one = site(pacs, readers=[LUNG])
    one.index.studies[STUDY] = here()
    run(one, one.want())
    assert one.retrievals.links == []


@pytest.mark.parametrize(
    "change", [{"patient": None}, {"study_date": None}, {"contradiction": "its instances contradict each other"}]
)
def test_without_patient_or_date_nothing_is_looked_for(change: dict[str, object]) -> None:
    pacs = Pacs()
    with_earlier(pacs, earlier(30))
    one = site(pacs, readers=[COMPARING])
    one.index.studies[STUDY] = here(**change)
    run(one, one.want())
    assert one.retrievals.links == []
    assert [query.patient_id for query in pacs.asked] == [""]


@pytest.mark.parametrize(
    "study",
    [earlier(30, patient_id="P-2"), earlier(30, issuer_of_patient_id="CLINIC"), earlier(30, modalities=("MR",))],
)
def test_studies_of_others_and_of_other_kinds_are_no_priors(study: Any) -> None:
    pacs = Pacs()
    with_earlier(pacs, study)
    one = site(pacs, readers=[COMPARING])
    one.index.studies[STUDY] = here()
    run(one, one.want())
    assert one.retrievals.links == []


@pytest.mark.parametrize(
    ("body_part", "description", "is_prior"),
    [
        ("CHEST", "", True),
        ("HEAD", "CT Thorax", False),
        ("", "CT Thorax nativ", True),
        ("", "CT^CHEST_LUNG (Adult)", True),
        ("", "CT Kopf", False),
        ("", "", False),
    ],
)
def test_a_prior_shows_the_same_body_part(body_part: str, description: str, is_prior: bool) -> None:
    pacs = Pacs()
    with_earlier(pacs, earlier(30, description=description), body_part=body_part)
    pacs.held["1.2.9.30.0"] = [replace(one, description="") for one in pacs.held["1.2.9.30.0"]]
    one = site(pacs, readers=[COMPARING])
    one.index.studies[STUDY] = here()
    run(one, one.want())
    assert bool(one.retrievals.links) is is_prior


def test_the_timeline_names_no_uid() -> None:
    pacs = Pacs(refuses=frozenset({f"{ct(1).series_instance_uid}.2"}))
    with_earlier(pacs, earlier(30))
    one = site(pacs, readers=[COMPARING])
    one.index.studies[STUDY] = here()
    run(one, one.want())
    pacs.refuses = frozenset()
    run(one, one.want())
    told = " ".join(f"{outcome} {' '.join(detail)}" for outcome, detail in one.retrievals.told)
    assert "priors in pacs: 1" in told
    assert "1.2." not in told


def test_what_the_engine_gave_up_is_held_once_unless_it_ended_meanwhile() -> None:
    pacs = Pacs()
    pacs.add(remote(), (ct(1), 1))
    one = site(pacs, readers=[LUNG])
    wanted = one.want()
    steps.look(one.line, wanted)
    steps.bury(one.line, wanted, "given up")
    steps.bury(one.line, wanted, "given up")
    steps.bury(one.line, "retrieval-of-before", "given up")
    assert one.retrievals.held == [(wanted, "given up")]


def test_waiting_has_an_end_and_says_for_what() -> None:
    slept: list[float] = []
    with pytest.raises(StepFailed, match=r"the disk is away \(tried 4 times\)"):
        patiently(slept.append, lambda: {"waits": "the disk is away"}, attempts=4)
    assert slept == [1, 2, 4, 8]
    assert delay_s(50) == 60


def test_an_accession_number_that_many_studies_have_is_for_a_person() -> None:
    pacs = Pacs()
    for number in range(9):
        pacs.add(remote(f"1.2.4.{number}"), (ct(1, study=f"1.2.4.{number}"), 2))
    one = site(pacs, readers=[LUNG])
    wanted = one.want("", ACCESSION, announced="HL7 RIS")
    assert run(one, wanted) == steps.DOUBT
    assert one.retrievals.pending() == []
    assert "9 studies have this accession number" in one.retrievals.held[0][1]
