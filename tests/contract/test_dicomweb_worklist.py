"""UPS-RS over real HTTP, against a small worklist that keeps what it is told."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from adapters.dicom.ups import UpsClient, read_before
from cds.errors import InvalidInstance, PeerRefused, Unavailable
from tests.contract.dicomweb_peer import Reply, Request, serving


def workitem(uid: str, study: str = "1.2.3", state: str = "SCHEDULED", priority: str = "MEDIUM") -> dict[str, Any]:
    reference = {"0020000D": {"vr": "UI", "Value": [study]}, "00080050": {"vr": "SH", "Value": [f"ACC-{study}"]}}
    return {
        "00080018": {"vr": "UI", "Value": [uid]},
        "00741000": {"vr": "CS", "Value": [state]},
        "00741200": {"vr": "CS", "Value": [priority]},
        "0040A370": {"vr": "SQ", "Value": [reference]},
    }


@dataclass
class Worklist:
    """Ignores the keys of a search, as some servers do, and takes changes of priority."""

    items: list[dict[str, Any]]
    refuses: dict[str, int] = field(default_factory=dict)

    def __call__(self, request: Request) -> Reply:
        if request.method == "GET":
            return Reply(body=json.dumps(self.items).encode())
        uid = request.path.removeprefix("/workitems/")
        if uid in self.refuses:
            return Reply(self.refuses[uid])
        [change] = json.loads(request.body)
        next(one for one in self.items if one["00080018"]["Value"] == [uid]).update(change)
        return Reply(200)

    @property
    def priorities(self) -> dict[str, str]:
        return {one["00080018"]["Value"][0]: one["00741200"]["Value"][0] for one in self.items}


def test_the_scheduled_workitems_of_the_study_are_raised_and_no_others() -> None:
    others = [workitem("1.5", "1.2.4"), workitem("1.6", state="IN PROGRESS"), workitem("1.7", priority="HIGH")]
    worklist = Worklist([workitem("1.4"), *others])
    with serving(worklist) as peer:
        said = UpsClient(peer.server, 5).raise_priority("HIGH", study_instance_uid="1.2.3")
    assert said.startswith("HIGH set for 1 of 2 scheduled workitems, 1 had it; before: ")
    assert list(read_before(said).values()) == ["MEDIUM"]
    assert "1.4" not in said
    assert worklist.priorities == {"1.4": "HIGH", "1.5": "MEDIUM", "1.6": "MEDIUM", "1.7": "HIGH"}
    search, change = peer.asked
    assert search.path == "/workitems"
    assert ("0040A370.0020000D", "1.2.3") in search.query
    assert ("00741000", "SCHEDULED") in search.query
    assert (change.path, change.headers["content-type"]) == ("/workitems/1.4", "application/dicom+json")


def test_a_raise_that_ends_gives_back_what_it_raised_and_leaves_the_rest() -> None:
    worklist = Worklist([workitem("1.4"), workitem("1.5", priority="LOW"), workitem("1.6", priority="HIGH")])
    with serving(worklist) as peer:
        client = UpsClient(peer.server, 5)
        before = read_before(client.raise_priority("HIGH", study_instance_uid="1.2.3"))
        assert set(worklist.priorities.values()) == {"HIGH"}
        said = client.end_raise("HIGH", before, study_instance_uid="1.2.3")
    assert said == "2 of 2 scheduled workitems have their own priority again"
    assert worklist.priorities == {"1.4": "MEDIUM", "1.5": "LOW", "1.6": "HIGH"}


def test_a_workitem_that_somebody_changed_or_began_since_is_left_as_it_is() -> None:
    worklist = Worklist([workitem("1.4"), workitem("1.5")])
    with serving(worklist) as peer:
        client = UpsClient(peer.server, 5)
        before = read_before(client.raise_priority("HIGH", study_instance_uid="1.2.3"))
        worklist.items[:] = [workitem("1.4", priority="LOW"), workitem("1.5", state="IN PROGRESS", priority="HIGH")]
        said = client.end_raise("HIGH", before, study_instance_uid="1.2.3")
    assert said == "0 of 2 scheduled workitems have their own priority again"
    assert worklist.priorities == {"1.4": "LOW", "1.5": "HIGH"}


def test_an_answer_that_names_no_workitem_raised_none() -> None:
    assert read_before("HIGH set for 0 of 1 scheduled workitems, 1 had it") == {}
    assert read_before("x; before: 0123456789ab STAT, 0123456789ac LOW, LOW") == {"0123456789ac": "LOW"}


def test_a_study_is_found_by_its_accession_number() -> None:
    worklist = Worklist([workitem("1.4"), workitem("1.5", "1.2.4")])
    with serving(worklist) as peer:
        UpsClient(peer.server, 5).raise_priority("HIGH", accession_number="ACC-1.2.4")
    assert worklist.priorities == {"1.4": "MEDIUM", "1.5": "HIGH"}


def test_the_same_accession_number_of_another_study_is_left_alone() -> None:
    reused, unnamed = workitem("1.4", "1.2.4"), workitem("1.5", "1.2.4")
    del unnamed["0040A370"]["Value"][0]["0020000D"]
    worklist = Worklist([reused, unnamed])
    with serving(worklist) as peer:
        UpsClient(peer.server, 5).raise_priority("HIGH", study_instance_uid="1.2.3", accession_number="ACC-1.2.4")
    assert worklist.priorities == {"1.4": "MEDIUM", "1.5": "HIGH"}


def test_a_priority_is_never_lowered() -> None:
    worklist = Worklist([workitem("1.4", priority="HIGH")])
    with serving(worklist) as peer:
        said = UpsClient(peer.server, 5).raise_priority("MEDIUM", study_instance_uid="1.2.3")
    assert said == "MEDIUM set for 0 of 1 scheduled workitems, 1 had it"
    assert worklist.priorities == {"1.4": "HIGH"}


@pytest.mark.parametrize("items", [[], [workitem("1.4", "1.2.4")], [workitem("1.4", state="COMPLETED")]])
def test_a_study_without_a_scheduled_workitem_is_said(items: list[dict[str, Any]]) -> None:
    with serving(Worklist(items)) as peer, pytest.raises(PeerRefused, match=r"no scheduled workitem$"):
        UpsClient(peer.server, 5).raise_priority("HIGH", study_instance_uid="1.2.3")


def test_a_workitem_that_was_begun_meanwhile_is_said() -> None:
    worklist = Worklist([workitem("1.4")], {"1.4": 409})
    with serving(worklist) as peer, pytest.raises(PeerRefused, match="begun or ended meanwhile"):
        UpsClient(peer.server, 5).raise_priority("HIGH", study_instance_uid="1.2.3")


@pytest.mark.parametrize(("status", "kind"), [(403, PeerRefused), (503, Unavailable)])
def test_a_worklist_that_refuses_or_is_busy_is_an_error(status: int, kind: type[Exception]) -> None:
    with serving(Worklist([workitem("1.4")], {"1.4": status})) as peer, pytest.raises(kind):
        UpsClient(peer.server, 5).raise_priority("HIGH", study_instance_uid="1.2.3")


def test_a_study_must_be_named_and_by_a_uid() -> None:
    with serving(Worklist([])) as peer:
        with pytest.raises(InvalidInstance):
            UpsClient(peer.server, 5).raise_priority("HIGH", study_instance_uid="1/../2")
        with pytest.raises(ValueError, match="want a Study Instance UID"):
            UpsClient(peer.server, 5).raise_priority("HIGH")
    assert peer.asked == []
