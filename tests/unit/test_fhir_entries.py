"""The entries of a Bundle of ours: what finds them, what refers to what, and in which order they may be written."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.fhir.abilities import Abilities, OfType
from adapters.fhir.entries import Entry, Key, in_order, key_of, read, references, rewritten, token
from adapters.fhir.payload import both
from adapters.fhir.payload import read as read_payload
from adapters.fhir.standing import same
from adapters.fhir.ways import way_to
from cds.errors import InvalidInput

BASE = "https://ehr.example/fhir"
Json = dict[str, Any]


def entry(number: str, kind: str, *targets: str, status: str = "preliminary") -> Entry:
    """A resource that refers to others of the Bundle."""
    named = [{"reference": f"urn:uuid:{target}"} for target in targets]
    key = Key("_tag" if kind == "Provenance" else "identifier", "urn:sightline:x", number)
    return Entry(f"urn:uuid:{number}", {"resourceType": kind, "status": status, "basis": named}, key)


def ordered(*entries: Entry, standing: tuple[str, ...] = ()) -> str:
    """Their numbers in order."""
    return "".join(one.own_id for one in in_order(entries, [f"urn:uuid:{number}" for number in standing]))


class TestOrder:
    """A reader never meets a reference to nothing."""

    def test_what_is_referred_to_comes_first_whatever_its_type(self) -> None:
        task, report = entry("t", "Task", "s"), entry("r", "DiagnosticReport", "o")
        request, finding = entry("s", "ServiceRequest", "r", "o"), entry("o", "Observation", "d")
        assert ordered(task, report, request, finding, entry("d", "Device")) == "dorst"

    def test_a_report_comes_after_everything_that_does_not_need_it(self) -> None:
        assert ordered(entry("r", "DiagnosticReport"), entry("f", "Flag"), entry("o", "Observation")) == "for"

    def test_what_a_version_leaves_out_is_withdrawn_after_the_report_and_provenance_is_last(self) -> None:
        gone = entry("g", "Observation", status="entered-in-error")
        told = entry("p", "Provenance", "r"), gone, entry("r", "DiagnosticReport", "o"), entry("o", "Observation")
        assert ordered(*told) == "orgp"

    def test_a_report_that_is_withdrawn_is_the_first(self) -> None:
        gone = entry("r", "DiagnosticReport", "o", status="entered-in-error")
        finding = entry("o", "Observation", status="entered-in-error")
        assert ordered(finding, entry("p", "Provenance", "r", "o"), gone, standing=("o", "r")) == "rop"

    def test_a_report_that_is_withdrawn_waits_for_what_it_names_and_is_not_there(self) -> None:
        gone = entry("r", "DiagnosticReport", "a", "b", status="entered-in-error")
        findings = [entry(number, "Observation", status="entered-in-error") for number in "abc"]
        assert ordered(gone, *findings, standing=("r", "a")) == "abrc"

    def test_in_a_circle_the_report_and_its_provenance_are_the_last(self) -> None:
        report, finding = entry("r", "DiagnosticReport", "o"), entry("o", "Observation", "p")
        assert ordered(entry("p", "Provenance", "r", "o"), report, finding) == "orp"

    def test_what_refers_to_itself_or_to_what_is_not_sent_waits_for_nobody(self) -> None:
        assert ordered(entry("a", "Observation", "a", "nowhere"), entry("b", "Observation", "a")) == "ab"


BODY: Json = {
    "resourceType": "Observation",
    "device": {"reference": "urn:uuid:d", "display": "a model"},
    "derivedFrom": [{"reference": "urn:uuid:o"}, {"reference": "urn:uuid:other"}],
    "hasMember": [{"type": "Observation", "reference": "urn:uuid:o"}],
    "extension": [{"url": "urn:x", "valueReference": {"reference": "urn:uuid:o"}}, {"url": "urn:y"}],
    "given": [None, "kept"],
}


class TestReferences:
    """Each is rewritten or dropped, and never half of it stays."""

    def test_they_are_found_at_any_depth(self) -> None:
        assert list(references(BODY)) == [f"urn:uuid:{number}" for number in ("d", "o", "other", "o", "o")]

    def test_one_that_is_dropped_leaves_its_words_and_no_empty_element(self) -> None:
        assert rewritten(BODY, {"urn:uuid:d": {}, "urn:uuid:o": {}}) == {
            "resourceType": "Observation",
            "device": {"display": "a model"},
            "derivedFrom": [{"reference": "urn:uuid:other"}],
            "extension": [{"url": "urn:y"}],
            "given": [None, "kept"],
        }

    def test_one_that_is_known_is_named(self) -> None:
        found = rewritten(BODY, {"urn:uuid:d": {"reference": "Device/1"}})
        assert found["device"] == {"reference": "Device/1", "display": "a model"}
        assert found["derivedFrom"] == BODY["derivedFrom"]

    def test_one_that_has_no_id_yet_is_named_by_its_number(self) -> None:
        one = entry("o", "Observation")
        assert one.logical == {"type": "Observation", "identifier": {"system": "urn:sightline:x", "value": "o"}}
        assert entry("p", "Provenance").logical == {}


class TestKeys:
    """What finds a copy, and only that."""

    def test_special_characters_are_escaped_and_encoded(self) -> None:
        key = Key("identifier", "urn:x", "a|b,c$d\\e")
        assert key.token == "urn:x|a\\|b\\,c\\$d\\\\e"
        assert key.condition == "identifier=urn:x%7Ca%5C%7Cb%5C%2Cc%5C%24d%5C%5Ce"
        assert token("", "ACC,1") == "ACC\\,1"

    def test_a_server_that_ignores_the_parameter_is_not_believed(self) -> None:
        key = Key("identifier", "urn:x", "1")
        assert key.names({"identifier": [{"system": "urn:y", "value": "1"}, {"system": "urn:x", "value": "1"}]})
        assert key.names({"identifier": {"system": "urn:x", "value": "1"}})
        assert not key.names({"identifier": [{"system": "urn:x", "value": "2"}]})
        assert not key.names({"meta": {"tag": [{"system": "urn:x", "code": "1"}]}})
        assert Key("_tag", "urn:x", "1").names({"meta": {"tag": [{"system": "urn:x", "code": "1"}]}})
        assert not Key("_tag", "urn:x", "1").names({})

    def test_a_resource_without_a_number_is_not_sent(self) -> None:
        with pytest.raises(InvalidInput, match="identifier"):
            key_of({"resourceType": "Observation", "identifier": [{"value": "1"}]})

    @pytest.mark.parametrize(
        "bundle",
        [
            {"type": "transaction", "entry": []},
            {"type": "batch", "entry": [{"fullUrl": "urn:uuid:1"}]},
            {"type": "transaction", "entry": [{"fullUrl": "https://x/Observation/1", "resource": {}}]},
            {"type": "transaction", "entry": [{"fullUrl": "urn:uuid:1", "resource": {"resourceType": 5}}]},
        ],
    )
    def test_another_bundle_is_not_sent(self, bundle: Json) -> None:
        with pytest.raises(InvalidInput, match="want"):
            read(bundle)


OURS: Json = {
    "resourceType": "Observation",
    "meta": {"security": [{"system": "urn:s", "code": "AIAST"}]},
    "issued": "2026-03-05T10:11:12+00:00",
    "valueQuantity": {"value": 12.5},
    "device": {"reference": "Device/1", "display": "a model"},
    "note": [{"text": "one"}],
}


class TestSame:
    """What the server adds by itself is no difference; everything else is."""

    @pytest.mark.parametrize(
        "theirs",
        [
            {"id": "7", "text": {"status": "generated", "div": "<div/>"}},
            {"meta": {"versionId": "3", "lastUpdated": "x", "security": [{"system": "urn:s", "code": "AIAST"}, {}]}},
            {"issued": "2026-03-05T11:11:12.000+01:00"},
            {"device": {"reference": f"{BASE}/Device/1/_history/2", "type": "Device"}},
            {"implicitRules": "urn:x"},
        ],
    )
    def test_what_a_server_writes_itself(self, theirs: Json) -> None:
        assert same(OURS, {**OURS, **theirs}, BASE)

    @pytest.mark.parametrize(
        "theirs",
        [
            {"meta": {}},
            {"issued": "2026-03-05T10:11:13+00:00"},
            {"issued": "2026-03-05"},
            {"valueQuantity": {"value": 12.6}},
            {"valueQuantity": {"value": 12.5, "unit": "%"}},
            {"device": {"reference": "Device/2"}},
            {"device": {"reference": "https://elsewhere.example/fhir/Device/1"}},
            {"note": [{"text": "one"}, {"text": "two"}]},
            {"note": None},
            {"status": "amended"},
        ],
    )
    def test_what_somebody_changed(self, theirs: Json) -> None:
        assert not same(OURS, {**OURS, **theirs}, BASE)

    def test_a_member_that_we_do_not_say_any_more(self) -> None:
        assert not same({name: said for name, said in OURS.items() if name != "note"}, OURS, BASE)


def able(*interactions: str, params: tuple[str, ...] = ("identifier",), **more: Any) -> Abilities:
    """A server that can do so much with Observation and Device."""
    of = OfType(interactions=frozenset(interactions), parameters=frozenset(params), **more)
    return Abilities(types={"Observation": of, "Device": of})


CHANGES = ("read", "search-type", "create", "update")


class TestWays:
    """How one type gets to one server."""

    def test_a_condition_is_not_trusted_without_the_search_that_it_needs(self) -> None:
        unsaid = able(*CHANGES, params=("code",), conditional_update=True, conditional_create=True)
        assert way_to(unsaid, "Observation", "identifier", own_ids=False) is None
        said = way_to(able(*CHANGES, conditional_update=True), "Observation", "identifier", own_ids=False)
        assert said is not None
        assert (said.conditional_update, said.conditional_create, said.own) == (True, False, False)

    def test_what_can_be_withdrawn_goes_only_where_it_can_be_changed(self) -> None:
        once = able("read", "search-type", "create")
        assert way_to(once, "Observation", "identifier", own_ids=False) is None
        assert way_to(once, "Device", "identifier", own_ids=False) is not None

    def test_our_own_ids_are_used_where_they_are_set_or_where_nothing_else_is_left(self) -> None:
        for own_ids, conditional, own in ((True, True, True), (False, True, False), (False, False, True)):
            server = able(*CHANGES, update_create=True, conditional_update=conditional)
            way = way_to(server, "Observation", "identifier", own_ids=own_ids)
            assert way is not None
            assert way.own is own

    def test_a_server_that_takes_nothing_has_no_way(self) -> None:
        assert way_to(able("read", "search-type"), "Observation", "identifier", own_ids=True) is None
        assert way_to(Abilities(), "Observation", "identifier", own_ids=True) is None


def test_a_payload_has_both_forms_or_says_why_it_has_not() -> None:
    def refused() -> bytes:
        raise InvalidInput("want a patient")

    bundle = b'{"resourceType": "Bundle", "type": "transaction"}'
    made = read_payload(both(bundle, lambda: b"MSH|\xff"))
    assert (made.bundle["type"], made.hl7, made.why_not) == ("transaction", b"MSH|\xff", "")
    failed = read_payload(both(bundle, refused))
    assert (failed.bundle["type"], failed.hl7, failed.why_not) == ("transaction", b"", "want a patient")
    assert read_payload(bundle).hl7 == b""
