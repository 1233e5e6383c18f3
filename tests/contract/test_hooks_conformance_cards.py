"""CDS Hooks 2.0, the response: what every card, suggestion, action, link and coding that we send has in common."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from fhir.resources.R4B.servicerequest import ServiceRequest
from jsonschema import Draft202012Validator
from markdown_it import MarkdownIt

from tests.contract.hook_answers import Answered, answers, replaced
from tests.contract.hook_site import ADVICE, DISCHARGE, FINDINGS, LAUNCHING, NAMES, HookSite, serving

Json = dict[str, Any]

#: Where a member of an answer may be empty: "no guidance" is an empty array of cards.
MAY_BE_EMPTY = ".cards"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HookSite]:
    with serving(tmp_path_factory.mktemp("hooks")) as found:
        yield found


@pytest.fixture(scope="module")
def answered(site: HookSite) -> list[Answered]:
    return answers(site)


@pytest.fixture(scope="module")
def cards(answered: list[Answered]) -> list[Json]:
    found = [card for one in answered for card in one.cards]
    assert {card["indicator"] for card in found} == {"info", "warning", "critical"}
    return found


@pytest.fixture(scope="module")
def suggestions(cards: list[Json]) -> list[Json]:
    return [one for card in cards for one in card.get("suggestions", [])]


@pytest.fixture(scope="module")
def actions(suggestions: list[Json]) -> list[Json]:
    return [action for one in suggestions for action in one["actions"]]


@pytest.fixture(scope="module")
def links(cards: list[Json]) -> list[Json]:
    return [link for card in cards for link in card.get("links", [])]


def text(value: object) -> bool:
    """Whether a value is a string that says something."""
    return isinstance(value, str) and bool(value.strip())


def absolute(value: object) -> bool:
    """Whether a value is an absolute URL of the web (RFC 3986 section 4.3)."""
    return text(value) and urlsplit(str(value)).scheme == "https" and bool(urlsplit(str(value)).netloc)


def empty(value: object, at: str = "") -> list[str]:
    """Where a null or empty member of an answer stands; resources are FHIR's, which has the same rule."""
    if value is None or (value in ("", [], {}) and at != MAY_BE_EMPTY):
        return [at]
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for name, item in inner for found in empty(item, f"{at}.{name}")]


# --- the response


def test_the_schema_accepts_every_answer(answered: list[Answered], reference_dir: Path) -> None:
    schema = json.loads((reference_dir / "reference" / "cds-hooks/schema/response.schema.json").read_text())
    for one in answered:
        Draft202012Validator(schema).validate(one.response)


@pytest.mark.requirement(3)
def test_no_member_of_an_answer_is_null_or_empty_but_a_list_of_no_cards(answered: list[Answered]) -> None:
    assert [found for one in answered for found in empty(one.response)] == []


@pytest.mark.requirement(74, 75)
def test_an_answer_is_an_object_with_cards_and_where_the_service_acts_system_actions(answered: list[Answered]) -> None:
    assert all(isinstance(one.response["cards"], list) for one in answered)
    acting = [one for one in answered if "systemActions" in one.response]
    assert {(one.service, one.request["hook"]) for one in acting} == {(ADVICE, "order-sign")}
    assert all(isinstance(one.response["systemActions"], list) for one in acting)
    assert {key for one in answered for key in one.response} == {"cards", "systemActions"}


@pytest.mark.requirement(77)
def test_with_nothing_to_say_the_answer_is_200_and_an_empty_array(site: HookSite) -> None:
    nobody = {"resourceType": "Patient", "id": "p2", "identifier": [{"system": "urn:example:mrn", "value": "NEW-1"}]}
    for service in (FINDINGS, DISCHARGE):
        assert site.answer(service, site.body(service, prefetch={"patient": nobody})) == {"cards": []}
    no_imaging = {"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "MedicationRequest"}}]}
    assert site.answer(ADVICE, site.body(ADVICE, context={"draftOrders": no_imaging})) == {"cards": []}


@pytest.mark.requirement(210, 211)
def test_what_was_said_when_an_order_was_selected_is_said_anew_when_it_is_signed(site: HookSite) -> None:
    """Both hooks are of one service: a client puts the later answer in the place of the earlier one."""
    listed = [(one["id"], one["hook"]) for one in site.discovery()]
    assert [hook for name, hook in listed if name == ADVICE] == ["order-select", "order-sign"]
    selected, signed = (site.answer(ADVICE, replaced(site, hook)) for hook in ("order-select", "order-sign"))
    assert [card["summary"] for card in selected["cards"]] == [card["summary"] for card in signed["cards"]] != []
    assert {card["uuid"] for card in selected["cards"]}.isdisjoint(card["uuid"] for card in signed["cards"])


# --- cards


@pytest.mark.requirement(80, 81)
def test_every_card_has_a_uuid_of_its_own(cards: list[Json]) -> None:
    names = [card["uuid"] for card in cards]
    assert len(set(names)) == len(names)
    assert all(isinstance(name, str) and str(uuid.UUID(name)) == name for name in names)


@pytest.mark.requirement(83)
def test_every_summary_is_one_line_below_140_characters_however_long_an_orders_name_is(cards: list[Json]) -> None:
    assert all(text(card["summary"]) and len(card["summary"]) < 140 for card in cards)
    assert all(card["summary"].splitlines() == [card["summary"]] for card in cards)
    assert any("CT thorax" in card["summary"] and "…" in card["summary"] for card in cards)


@pytest.mark.requirement(84, 85)
def test_every_detail_is_gfm_with_paragraphs_lists_and_emphasis_and_no_html(cards: list[Json]) -> None:
    reader = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    kinds = []
    for card in cards:
        tokens = reader.parse(card["detail"])
        kinds += [part.type for token in tokens for part in (token, *(token.children or ()))]
    assert {"paragraph_open", "bullet_list_open", "strong_open"} <= set(kinds)
    assert {"html_block", "html_inline", "image", "heading_open", "code_block"}.isdisjoint(kinds)


@pytest.mark.requirement(87, 88)
def test_every_card_has_one_of_three_indicators(cards: list[Json]) -> None:
    assert {card["indicator"] for card in cards} <= {"info", "warning", "critical"}


@pytest.mark.requirement(88)
def test_the_more_urgent_a_result_is_the_higher_is_its_indicator(answered: list[Answered]) -> None:
    """Blood inside the skull, a nodule that must be followed, calcium that is good to know."""
    found = [one.cards for one in answered if one.service == FINDINGS]
    of = dict(zip(NAMES, found, strict=False))
    wanted = {"08-intracranial-haemorrhage": "critical", "03-lung-nodule": "warning", "01-calcium": "info"}
    assert {name: of[name][0]["indicator"] for name in wanted} == wanted


@pytest.mark.requirement(90, 105, 106, 107, 108)
def test_every_card_has_a_source_with_a_label_and_an_absolute_address(cards: list[Json]) -> None:
    assert all(isinstance(card["source"], dict) and text(card["source"]["label"]) for card in cards)
    assert all(absolute(card["source"]["url"]) for card in cards)


@pytest.mark.requirement(109, 110, 140)
def test_the_source_is_where_knowledge_comes_from_and_links_lead_to_this_patients_images(cards: list[Json]) -> None:
    of: dict[str, set[str]] = {}
    for card in cards:
        of.setdefault(card["source"]["label"], set()).add(card["source"]["url"])
    assert all(len(urls) == 1 for urls in of.values()), "whoever the patient is"
    sources = {url for urls in of.values() for url in urls}
    deep = {link["url"] for card in cards for link in card.get("links", []) if "/fhir/DiagnosticReport/" in link["url"]}
    assert len(deep) == len(NAMES), "one report each"
    assert sources.isdisjoint(deep)


@pytest.mark.requirement(115, 116, 220)
def test_every_source_has_a_topic_that_is_a_coding(cards: list[Json]) -> None:
    topics = [card["source"]["topic"] for card in cards]
    assert all(isinstance(topic, dict) and text(topic["code"]) and text(topic["system"]) for topic in topics)
    assert {topic["code"] for topic in topics} == {"imaging-findings", "imaging-orders"}
    assert all(text(topic["display"]) for topic in topics)


@pytest.mark.requirement(92, 93, 94, 95, 96)
def test_suggestions_stand_with_a_selection_behaviour_and_never_one_without_the_other(cards: list[Json]) -> None:
    assert all(("suggestions" in card) == ("selectionBehavior" in card) for card in cards)
    offered = [card for card in cards if "suggestions" in card]
    assert 0 < len(offered) < len(cards)
    assert all(isinstance(card["suggestions"], list) and card["suggestions"] for card in offered)
    assert all(isinstance(one, dict) for card in offered for one in card["suggestions"])
    assert {card["selectionBehavior"] for card in offered} == {"any", "at-most-one"}


@pytest.mark.requirement(98, 99, 100, 136, 216, 217, 218, 219)
def test_override_reasons_are_codings_with_a_text_that_people_read(cards: list[Json]) -> None:
    offered = [card for card in cards if "overrideReasons" in card]
    assert offered
    reasons = [reason for card in offered for reason in card["overrideReasons"]]
    assert all(isinstance(card["overrideReasons"], list) for card in offered)
    assert all(text(reason["code"]) and text(reason["system"]) and text(reason["display"]) for reason in reasons)
    assert {"already-known", "ai-finding-wrong", "later"} <= {reason["code"] for reason in reasons}


# --- suggestions and actions


@pytest.mark.requirement(117, 118, 119)
def test_every_suggestion_has_a_label_and_a_uuid_of_its_own(suggestions: list[Json]) -> None:
    assert suggestions
    assert all(text(one["label"]) for one in suggestions)
    names = [one["uuid"] for one in suggestions]
    assert all(isinstance(name, str) and str(uuid.UUID(name)) == name for name in names)
    assert len(set(names)) == len(names)


@pytest.mark.requirement(120, 121, 122)
def test_of_several_only_one_is_recommended_where_only_one_can_be_taken(cards: list[Json]) -> None:
    offered = [card for card in cards if "suggestions" in card]
    recommended = [[one for one in card["suggestions"] if "isRecommended" in one] for card in offered]
    assert {one["isRecommended"] for found in recommended for one in found} <= {True, False}
    assert any(one["isRecommended"] is True for found in recommended for one in found)
    for card, found in zip(offered, recommended, strict=True):
        assert len(found) <= 1 or card["selectionBehavior"] == "any"
    assert any("isRecommended" not in one for card in offered for one in card["suggestions"])


@pytest.mark.requirement(123, 124, 127, 128)
def test_every_suggestion_does_something_and_says_what(suggestions: list[Json], actions: list[Json]) -> None:
    assert all(isinstance(one["actions"], list) and one["actions"] for one in suggestions)
    assert {action["type"] for action in actions} == {"create", "delete"}
    assert all(text(action["description"]) for action in actions)


@pytest.mark.requirement(125)
def test_what_takes_an_orders_place_removes_it_and_drafts_the_other_in_one_suggestion(site: HookSite) -> None:
    (card,) = site.answer(ADVICE, replaced(site))["cards"]
    (one,) = card["suggestions"]
    assert [action["type"] for action in one["actions"]] == ["delete", "create"]
    assert card["selectionBehavior"] == "at-most-one"
    assert "actionSelectionBehavior" not in one, "that would let a person take one of the two alone"


@pytest.mark.requirement(130, 131)
def test_what_is_created_is_a_whole_new_resource(actions: list[Json]) -> None:
    created = [action["resource"] for action in actions if action["type"] == "create"]
    assert created
    for resource in created:
        ServiceRequest.model_validate(resource)
        assert (resource["status"], resource["intent"]) == ("draft", "proposal")
        assert "id" not in resource
        assert "meta" not in resource
    assert not any("resourceId" in action for action in actions if action["type"] == "create")


@pytest.mark.requirement(133, 134, 135)
def test_what_is_deleted_is_named_by_its_relative_reference(actions: list[Json]) -> None:
    deleted = [action for action in actions if action["type"] == "delete"]
    assert {action["resourceId"] for action in deleted} == {"ServiceRequest/draft-24799-9"}
    assert not any("resource" in action for action in deleted)


@pytest.mark.requirement(127, 130, 132)
def test_what_is_updated_is_the_whole_order_as_it_came_with_one_note_more(answered: list[Answered]) -> None:
    updated = [(one.request, action) for one in answered for action in one.response.get("systemActions", [])]
    assert updated
    for request, action in updated:
        (entry,) = request["context"]["draftOrders"]["entry"]
        (note,) = action["resource"]["note"]
        assert action["type"] == "update"
        assert text(action["description"])
        assert action["resource"] == {**entry["resource"], "note": [note]}
        assert text(note["text"])


# --- links


@pytest.mark.requirement(103, 104)
def test_links_are_a_list_and_a_card_may_have_none(cards: list[Json]) -> None:
    assert all(isinstance(card["links"], list) and card["links"] for card in cards if "links" in card)
    assert any("links" not in card for card in cards)


@pytest.mark.requirement(138, 139, 141, 142)
def test_every_link_has_a_label_an_absolute_url_and_a_type(links: list[Json]) -> None:
    assert all(text(link["label"]) and absolute(link["url"]) for link in links)
    assert {link["type"] for link in links} == {"absolute", "smart"}


@pytest.mark.requirement(144, 145, 146, 147)
def test_app_context_is_a_string_of_smart_links_alone(links: list[Json]) -> None:
    assert all(("appContext" in link) == (link["type"] == "smart") for link in links)
    contexts = [link["appContext"] for link in links if link["type"] == "smart"]
    assert contexts
    assert all(text(one) and uuid.UUID(json.loads(one)["study"]) for one in contexts)


@pytest.mark.requirement(142)
def test_a_smart_link_is_our_launch_url_and_goes_to_ehrs_that_can_launch_it(answered: list[Answered]) -> None:
    for one in answered:
        kinds = {link["type"]: link["url"] for card in one.cards for link in card.get("links", [])}
        assert ("smart" in kinds) == (one.request.get("fhirServer") == LAUNCHING and bool(one.cards[0].get("links")))
        assert kinds.get("smart", "https://sightline.example/smart/launch") == "https://sightline.example/smart/launch"


# --- what is kept


@pytest.mark.requirement(82, 148)
@pytest.mark.usefixtures("answered")  # what is accepted here is not offered again
@pytest.mark.parametrize("service", [FINDINGS, DISCHARGE, ADVICE])
def test_what_became_of_a_card_is_taken_by_its_uuid(site: HookSite, service: str) -> None:
    card = site.answer(service, replaced(site) if service == ADVICE else site.body(service))["cards"][0]
    first = card["suggestions"][0]["uuid"]
    at = {"outcomeTimestamp": "2026-11-22T09:31:00Z"}
    accepted = {"card": card["uuid"], "outcome": "accepted", "acceptedSuggestions": [{"id": first}], **at}
    why = {"reason": card["overrideReasons"][0], "userComment": "known since 2019"}
    overridden = {"card": card["uuid"], "outcome": "overridden", "overrideReason": why, **at}
    unknown = {"card": str(uuid.uuid4()), "outcome": "accepted", "acceptedSuggestions": [{"id": first}], **at}
    said = [site.feedback(service, *items) for items in ((accepted, overridden), (accepted,), (unknown,))]
    assert [one.status_code for one in said] == [200, 200, 200]
    texts = [one.json()["issue"][0]["details"]["text"] for one in said]
    assert texts[:2] == ["2 recorded, 0 known already", "0 recorded, 1 known already"]
    assert "1 about cards that this service did not show" in said[2].text
