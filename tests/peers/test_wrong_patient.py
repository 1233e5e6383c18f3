"""Images under the wrong patient, found after the report: taken back everywhere, and told to whom they belong.

One running server with an interface engine, an Orthanc, a FHIR server of another project, and a webhook for alarms.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import date
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pydicom
import pytest
from pydicom.dataset import Dataset

from adapters.dicom.phantom import write_ct_series
from cds.demo.engine import Engine
from models.phantom import Phantom, chest_phantom
from tests.contract.notify_peers import Hook, http_server
from tests.e2e.site import AUTHORITY, Person, Site, identity, order, serving, site, smoking, stop, until
from tests.lifecycle.texts import each
from tests.peers import medplum
from tests.peers.conftest import Orthanc, OrthancFactory
from tests.peers.medplum import FhirServer
from tests.unit.pacs_reports import multi_frame

pytestmark = pytest.mark.peers

#: The lungs and what is around them; more images cost time and say nothing.
SHOWN = np.s_[10:96, 30:174]
WITHDRAWABLE = ("DiagnosticReport", "Observation", "RiskAssessment")
Json = dict[str, Any]


def somebody(mrn: str, family: str, given: str, accession: str, born: date) -> Person:
    return Person(mrn, family, given, born, accession_number=accession)


ANNA = somebody("MRN-A", "Zzyzxwitz", "Anna", "ACC-A", date(1960, 3, 2))
BERTA = somebody("MRN-B", "Ypsilanti", "Berta", "ACC-B", date(1958, 7, 1))
CLARA = somebody("MRN-C", "Xenakisova", "Clara", "ACC-C", date(1961, 5, 9))
DORA = somebody("MRN-D", "Wrzesniewska", "Dora", "ACC-D", date(1959, 2, 8))
EVERYBODY = (ANNA, BERTA, CLARA, DORA)
PACK_YEARS = {"MRN-A": 35.0, "MRN-B": 22.0, "MRN-C": 41.0, "MRN-D": 27.0}


@dataclass(frozen=True)
class Told:
    """An ORU^R01 as the engine has it."""

    patient: str
    number: str
    request: str
    results: frozenset[str]
    text: str


@dataclass(frozen=True)
class Standing:
    """A resource as far as it matters here: `members` are the beginnings of its members' names."""

    status: str
    patient: str
    members: frozenset[str]


@dataclass
class Hospital:
    """The server and everybody around it."""

    site: Site
    engine: Engine
    orthanc: Orthanc
    fhir: FhirServer
    alarms: Hook
    folder: Path
    blocks: list[str] = field(default_factory=list)
    _sent: int = 0

    def ordered(self, *people: Person) -> None:
        """An order for a chest CT and a smoking history of everybody."""
        for person in people:
            for one in (smoking(self._next(), person, pack_years=PACK_YEARS[person.mrn]), order(self._next(), person)):
                assert self.site.hl7(one).code == "AA"

    def scan(self, body: str, name: Person, *, emphysema: bool, whole: bool = False) -> str:
        """Images of a body come under somebody's name; the same body is the same images. Answers the study's UID.

        `whole`: all slices in one instance, as newer scanners send them.
        """
        phantom, folder = chest(emphysema), self.folder / f"{body} as {name.given}"
        paths = write_ct_series(phantom.hu[SHOWN], phantom.spacing_mm, folder, seed=body, **asdict(identity(name)))
        paths = [multi_frame(paths, folder / "whole.dcm")] if whole else paths
        assert all(result.stored for result in self.site.store(paths))
        uid = str(pydicom.dcmread(paths[0], stop_before_pixels=True).StudyInstanceUID)
        shutil.rmtree(folder)
        return uid

    def reported(self, uid: str, name: Person) -> Json:
        """The story of a study once it is reported under somebody's order and everything was sent."""

        def look() -> Json | None:
            story = self.site.why(uid)
            report = story["studies"][0]["report"]
            under = report["order"]["accession"]["value"] if report and report["order"] else ""
            return story if under == name.accession_number and self._all_done(story) else None

        return until(look, 60, f"a report for {name.given}; the log is {self.site.log}", every_s=0.5)

    def taken_back(self, uid: str) -> Json:
        """The story of a study once nobody has it any more."""

        def look() -> Json | None:
            story = self.site.why(uid)
            state = story["studies"][0]["report"]["match"]["state"]
            return story if state == "held" and self._all_done(story) else None

        return until(look, 60, f"the result to be taken back; the log is {self.site.log}", every_s=0.5)

    def _all_done(self, story: Json) -> bool:
        """The newest images and match are reported, and nothing waits to be sent."""
        [study] = story["studies"]
        revision = study["report"]["work"]["revision"]
        newest = (revision["image"], revision["match"]) == (study["image_revision"], study["match_revision"])
        return newest and {d["state"] for d in study["deliveries"]} <= {"sent", "superseded"}

    def orus(self, *people: Person) -> list[Told]:
        """What the engine was told about these people, in order."""
        while (block := self.engine.wait(0.1)) is not None:
            self.blocks.append(block.decode())
        told = [_oru(block) for block in self.blocks]
        return [one for one in told if one.patient in {person.mrn for person in people}]

    def documents(self, uid: str) -> list[Dataset]:
        """What the PACS has of a study."""
        query = json.dumps({"Level": "Instance", "Query": {"StudyInstanceUID": uid}})
        found: Any = self.orthanc.post("/tools/find", query.encode())
        return [pydicom.dcmread(BytesIO(self.orthanc.file(one))) for one in found]

    def standing(self, *people: Person) -> dict[str, Standing]:
        """What the FHIR server has from us about these people, by type and id."""
        numbers = {person.mrn for person in people}
        found = {}
        for kind in WITHDRAWABLE:
            for body in self.fhir.ours(kind):
                whose = body["subject"]["identifier"]["value"]
                if whose in numbers:
                    members = frozenset(name[:5] for name in body)
                    found[f"{kind}/{body['id']}"] = Standing(body["status"], whose, members)
        return found

    def of_others(self, *people: Person) -> list[Json]:
        """What the FHIR server has about anybody else, whoever made it."""
        numbers = [f'"{person.mrn}"' for person in people]
        bodies = [body for kind in ("Patient", *WITHDRAWABLE) for body in self.fhir.all(kind)]
        return [body for body in bodies if not any(number in json.dumps(body) for number in numbers)]

    def report(self, number: str) -> tuple[str, str]:
        """Status and patient of the DiagnosticReport with this number at the FHIR server."""
        [body] = [b for b in self.fhir.ours("DiagnosticReport") if b["identifier"][0]["value"] == number]
        return body["status"], body["subject"]["identifier"]["value"]

    def said_by_alarms(self, *words: str) -> list[str]:
        """All alarms, once one of them says all of this."""

        def look() -> list[str]:
            texts = [body.decode() for _, _, body in self.alarms.taken]
            return texts if any(all(word in text for word in words) for text in texts) else []

        return until(look, 30, f"an alarm that says {' and '.join(words)}")

    def _next(self) -> str:
        self._sent += 1
        return f"C{self._sent}"


def _oru(block: str) -> Told:
    segments = list(each(block))
    patient = next(s[3].split("^")[0] for s in segments if s[0] == "PID")
    request = next(s for s in segments if s[0] == "OBR")
    results = frozenset(s[11] for s in segments if s[0] == "OBX")
    return Told(patient, request[3].split("^")[0], request[25], results, block)


@cache
def chest(emphysema: bool) -> Phantom:
    return chest_phantom(spacing_mm=(3.0, 2.0, 2.0), laa_fraction=0.12 if emphysema else 0.0)


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    """All of it, for both stories; each has patients of its own."""
    if shutil.which("Orthanc") is None:
        pytest.skip("Orthanc is not installed: make test-peers installs it")
    folder = tmp_path_factory.mktemp("hospital")
    with ExitStack() as stack:
        fhir, engine = stack.enter_context(medplum.running()), stack.enter_context(Engine())
        alarms = stack.enter_context(http_server())
        (folder / "pacs").mkdir()
        orthanc, process = OrthancFactory(folder / "pacs").start(11112)
        stack.callback(stop, process)
        one = site(
            folder / "site",
            CDS_ORU_DESTINATIONS=json.dumps({"engine": {"host": "127.0.0.1", "port": engine.port}}),
            CDS_FHIR_DESTINATIONS=json.dumps({"medplum": {"url": fhir.url, "own_ids": True}}),
            CDS_PACS_DESTINATIONS=json.dumps(
                {"orthanc": {"host": "127.0.0.1", "port": orthanc.dicom_port, "ae_title": "ORTHANC"}}
            ),
            CDS_QUIET_PERIOD_S="3",
            CDS_ALARM_WEBHOOK_URL=alarms.url,
        )
        yield Hospital(stack.enter_context(serving(one)), engine, orthanc, fhir, alarms, folder)


def test_two_patients_who_were_swapped_at_the_scanner_get_their_own_results_back(hospital: Hospital) -> None:
    theirs = medplum.of_the_hospital(hospital.fhir)
    hospital.ordered(ANNA, BERTA)
    # The emphysema is Berta's, but comes under Anna's name and number, and the other way round.
    sick = hospital.scan("Berta's body", ANNA, emphysema=True)
    well = hospital.scan("Anna's body", BERTA, emphysema=False, whole=True)
    number = {uid: hospital.reported(uid, who)["studies"][0]["public_id"] for uid, who in ((sick, ANNA), (well, BERTA))}
    [shown] = hospital.site.cards(ANNA)
    assert "pack-years: 35" in shown["detail"]
    assert hospital.site.cards(BERTA) == []
    before = hospital.standing(ANNA, BERTA)
    assert hospital.report(number[sick]) == ("preliminary", "MRN-A")
    assert hospital.report(number[well]) == ("preliminary", "MRN-B")

    hospital.scan("Berta's body", BERTA, emphysema=True)
    hospital.scan("Anna's body", ANNA, emphysema=False, whole=True)
    stories = {uid: hospital.reported(uid, who) for uid, who in ((sick, BERTA), (well, ANNA))}

    for uid, wrong, right in ((sick, ANNA, BERTA), (well, BERTA, ANNA)):
        engine_was_told(hospital, number[uid], wrong, right)
        pacs_was_told(hospital.documents(uid), wrong, header=right)
        assert hospital.report(number[uid]) == ("entered-in-error", wrong.mrn)
        assert hospital.report(f"{number[uid]}.2") == ("preliminary", right.mrn)
        why_tells(stories[uid])
    fhir_server_was_told(hospital, before, {ANNA: BERTA, BERTA: ANNA})
    assert hospital.fhir.unchanged(theirs)

    [taken_back] = hospital.site.cards(ANNA)
    assert taken_back["summary"].startswith("Withdrawn: ")
    assert "suggestions" not in taken_back
    [advice] = hospital.site.cards(BERTA)
    assert "pack-years: 22" in advice["detail"]
    the_card_leads_to(hospital, advice, f"{number[sick]}.2", BERTA)

    told = hospital.site.cds("why", "ACC-A")
    assert told.returncode == 0
    for words in (
        f"Study {sick}",
        f"Study {well}",
        "receive: header changed",
        "same UID again, same pixels, other header",
        "instances of this study name different patients",
        "its instances say something else about whose they are",
        "match: match revision 3",
        "Practitioner/1: card shown",
        "retraction to engine: sent after 1 attempts",
        "Sightline: report retracted",
        "closed",
    ):
        assert words in told.stdout, words
    as_json = orjson.loads(hospital.site.cds("why", sick, "--json").stdout)
    why_tells(as_json)
    assert "Practitioner/1" in {event["actor"] for event in as_json["seen"] if event["action"] == "card shown"}
    nobody_is_named(told.stdout, *hospital.said_by_alarms("taken back", "Practitioner/1"))


def test_a_person_who_finds_the_wrong_patient_stops_it_and_gives_the_images_to_the_right_one(
    hospital: Hospital,
) -> None:
    hospital.ordered(CLARA, DORA)
    uid = hospital.scan("Dora's body", CLARA, emphysema=True, whole=True)
    number = hospital.reported(uid, CLARA)["studies"][0]["public_id"]
    [shown] = hospital.site.cards(CLARA)
    assert "pack-years: 41" in shown["detail"]
    before, others = hospital.standing(CLARA, DORA), hospital.of_others(CLARA, DORA)

    said = ("--reason", "the wristband was read wrong", "--by", "Dr Grey")
    found = hospital.site.cds("studies", "wrong-patient", "ACC-C", *said)
    assert found.returncode == 0, found.stderr
    assert "seen by Practitioner/1: card shown" in found.stdout
    story = hospital.taken_back(uid)
    [hold] = [one for one in story["studies"][0]["holds"] if one["resolved_at"] is None]
    assert hold["kind"] == "wrong-patient"
    assert "the wristband was read wrong; seen by: " in hold["reason"]
    assert "Practitioner/1" in hold["reason"]
    assert hospital.report(number) == ("entered-in-error", "MRN-C")
    assert [(one.request, one.results) for one in hospital.orus(CLARA)][-1] == ("X", frozenset("W"))
    assert [card["summary"][:10] for card in hospital.site.cards(CLARA)] == ["Withdrawn:"]
    assert hospital.site.cards(DORA) == []
    assert {one.status for one in hospital.standing(CLARA, DORA).values()} == {"entered-in-error"}

    said = ("--to", "ACC-D", "--reason", "by the scanner's log", "--by", "Dr Grey")
    resolved = hospital.site.cds("holds", "resolve", hold["id"], "attach", *said)
    assert resolved.returncode == 0, resolved.stderr
    story = hospital.reported(uid, DORA)
    assert not [one for one in story["studies"][0]["holds"] if one["resolved_at"] is None]
    engine_was_told(hospital, number, CLARA, DORA)
    pacs_was_told(hospital.documents(uid), CLARA, header=CLARA)
    assert hospital.report(f"{number}.2") == ("preliminary", "MRN-D")
    fhir_server_was_told(hospital, before, {CLARA: DORA})
    assert hospital.of_others(CLARA, DORA) == others
    assert [card["summary"][:10] for card in hospital.site.cards(CLARA)] == ["Withdrawn:"]
    [advice] = hospital.site.cards(DORA)
    assert "pack-years: 27" in advice["detail"]
    the_card_leads_to(hospital, advice, f"{number}.2", DORA)

    why_tells(story)
    told = hospital.site.cds("why", "ACC-D").stdout
    for words in ("a person attached the images to the order", "Dr Grey: wrong patient found", "Practitioner/1: card"):
        assert words in told, words
    nobody_is_named(told, *hospital.said_by_alarms("taken back", "Practitioner/1", number_of_work(story)))


def number_of_work(story: Json) -> str:
    """How the ids of a study's works begin."""
    found: str = next(e["work_id"] for e in story["events"] if e["work_id"]).rpartition("-")[0]
    return found


def engine_was_told(hospital: Hospital, number: str, wrong: Person, right: Person) -> None:
    """A result, its withdrawal under the same number, and the right patient's under another one; in this order."""
    told = [one for one in hospital.orus(wrong, right) if one.number.startswith(f"SL-{number}")]
    assert list(dict.fromkeys((one.patient, one.number, one.request) for one in told)) == [
        (wrong.mrn, f"SL-{number}", "P"),
        (wrong.mrn, f"SL-{number}", "X"),
        (right.mrn, f"SL-{number}.2", "P"),
    ]
    first, taken_back, last = told[0], next(one for one in told if one.request == "X"), told[-1]
    assert taken_back.results == {"W"}
    assert "W" not in first.results | last.results
    assert first.results == last.results
    assert f"^^^{AUTHORITY}" in last.text
    assert right.accession_number in last.text
    assert wrong.accession_number not in last.text
    assert wrong.family not in last.text


def pacs_was_told(documents: list[Dataset], wrong: Person, *, header: Person) -> None:
    """The wrong patient's report and masks are rejected and said to be withdrawn; `header` names who has a new one."""
    reports = [one for one in documents if one.Modality == "SR"]
    withdrawn = [one for one in reports if "withdrawn" in _texts(one)]
    [taken_back], [note] = withdrawn, [one for one in documents if one.Modality == "KO"]
    assert (taken_back.PatientID, taken_back.AccessionNumber) == (wrong.mrn, wrong.accession_number)
    assert (note.PatientID, note.ConceptNameCodeSequence[0].CodeValue) == (wrong.mrn, "113037")
    [evidence] = note.CurrentRequestedProcedureEvidenceSequence
    rejected = {
        item.ReferencedSOPInstanceUID for one in evidence.ReferencedSeriesSequence for item in one.ReferencedSOPSequence
    }
    standing = [one for one in documents if one.SOPInstanceUID not in rejected and one not in (taken_back, note)]
    gone = [one for one in documents if one.SOPInstanceUID in rejected]
    assert {one.SOPInstanceUID for one in gone} == rejected
    assert {one.PatientID for one in gone} == {wrong.mrn}
    assert sorted({one.Modality for one in gone}) == sorted({one.Modality for one in standing}) == ["SEG", "SR"]
    assert {(one.PatientID, one.AccessionNumber) for one in standing} == {(header.mrn, header.accession_number)}
    [report] = [one for one in standing if one.Modality == "SR"]
    assert (report.PreliminaryFlag, report.VerificationFlag) == ("PRELIMINARY", "UNVERIFIED")
    # The header is the images': where a person knows better than these, the report says so.
    assert ("of another patient than the one whom" in _texts(report)) == (header == wrong)


def fhir_server_was_told(hospital: Hospital, before: Mapping[str, Standing], moved: Mapping[Person, Person]) -> None:
    """Nothing of what stood stands, and each is still its patient's of then; as much stands under the right one."""
    after = hospital.standing(*moved, *moved.values())
    for name, was in before.items():
        assert (after[name].status, after[name].patient) == ("entered-in-error", was.patient), name
        assert "value" not in after[name].members
    for wrong, right in moved.items():
        stood = Counter(name.partition("/")[0] for name, one in before.items() if one.patient == wrong.mrn)
        fresh = {name: one for name, one in after.items() if one.patient == right.mrn and name not in before}
        assert {one.status for one in fresh.values()} == {"preliminary"}
        assert Counter(name.partition("/")[0] for name in fresh) == stood


def why_tells(story: Json) -> None:
    """Retractions at all three, each with its acknowledgment, between a result and the next one."""
    [study] = story["studies"]
    answers: dict[tuple[str, str], set[str]] = {}
    for one in study["deliveries"]:
        answers.setdefault((one["kind"], one["destination"]), set()).add(one["acknowledgment"][:6].strip())
    wanted = {"engine": "AA for", "medplum": "200 fo", "orthanc": "0x0000"}
    for kind in ("report", "retraction"):
        assert {to: answers[kind, to] for to in wanted} == {to: {answer} for to, answer in wanted.items()}
    assert study["report"]["episode"] == 2
    steps = [event["step"] for event in story["events"]]
    assert {"retract", "deliver retraction", "card", "match"} <= set(steps)
    assert steps.index("card") < steps.index("retract") < len(steps) - steps[::-1].index("report")


def the_card_leads_to(hospital: Hospital, card: Json, number: str, person: Person) -> None:
    """Link and draft name the report that stands, not the one that was taken back."""
    [link] = [link for link in card["links"] if link["url"].startswith(hospital.site.url)]
    linked = hospital.site.get(link["url"].removeprefix(hospital.site.url))
    assert linked["status"] == "preliminary"
    assert linked["identifier"][0]["value"] == number
    subject = hospital.site.get(f"/fhir/{linked['subject']['reference']}")
    assert [one["value"] for one in subject["identifier"]] == [person.mrn]
    drafts = [action["resource"] for s in card["suggestions"] for action in s["actions"]]
    assert {info["identifier"]["value"] for draft in drafts for info in draft["supportingInfo"]} == {number}


def nobody_is_named(*texts: str) -> None:
    for text in texts:
        for person in EVERYBODY:
            assert person.family not in text
            assert person.mrn not in text
            assert f"{person.birth_date:%Y%m%d}" not in text.replace("-", "")


def _texts(dataset: Dataset) -> str:
    return " ".join(str(element.value) for element in dataset.iterall() if element.keyword == "TextValue")
