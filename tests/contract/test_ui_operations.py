"""The pages of operations over real tables: who may open them, what they show, and what is done there."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from cds.domain.audit import AuditEvent
from cds.domain.hold import HoldKind
from cds.domain.report import DeliveryKind
from cds.domain.switch import SwitchKind
from cds.store import holds
from cds.store.deliveries import enqueue
from cds.store.identity_undo import history
from cds.store.tables import HeartbeatRow
from cds.ui.services import UiServices
from cds.web.ui.app import create_ui
from tests.contract.store_contract import NOW
from tests.contract.ui_operations_site import PEOPLE, SECRET_WEBHOOK, Browser, Site, again, site

FORBIDDEN, UNAUTHORIZED = 403, 401
#: Every page and part that an engineer opens; an auditor is let into the audit log alone.
ENGINEERS = (
    "/operations/now", "/operations/holds", "/operations/switches", "/operations/timeline", "/operations/messages",
    "/operations/messages/1", "/operations/deliveries", "/operations/peers", "/operations/peers/now",
    "/operations/dead-letters", "/operations/configuration", "/operations/identity",
)  # fmt: skip
DEEDS = (
    "/operations/holds/8254c329/take", "/operations/holds/8254c329/resolve", "/operations/switches",
    "/operations/peers", "/operations/timeline", "/operations/messages/replay", "/operations/messages/1/content",
    "/operations/messages/1/replay",
    "/operations/deliveries/df2b3d15/content", "/operations/deliveries/df2b3d15/resend", "/operations/identity",
    "/operations/identity/1/undo",
)  # fmt: skip


@pytest.fixture
def made(tmp_path: Path) -> Site:
    """The site."""
    return site(tmp_path)


@pytest.fixture
def engineer(made: Site) -> Browser:
    """The browser of an engineer."""
    return made.browser("engineer")


# --- who may


@pytest.mark.parametrize("who", sorted(set(PEOPLE) - {"engineer"}))
def test_only_an_engineer_opens_the_pages_of_operations(made: Site, who: str) -> None:
    for path in ENGINEERS:
        made.browser(who).open(path, FORBIDDEN)


def test_nobody_opens_operations_without_signing_in(made: Site) -> None:
    for path in (*ENGINEERS, "/operations", "/operations/audit"):
        assert made.browser().client.get(path).status_code == UNAUTHORIZED
    for path in DEEDS:
        assert made.browser().client.post(path).status_code in (400, UNAUTHORIZED)


def test_only_an_engineer_does_something(made: Site) -> None:
    auditor = made.browser("auditor")
    for path in DEEDS:
        auditor.send(path, FORBIDDEN, reason="for the test", action="leave")
    assert made.held.switches.all() == []
    assert [hold.id for hold in holds.open_holds(made.held.database) if hold.owner] == []


def test_a_form_without_its_token_does_nothing(made: Site, engineer: Browser) -> None:
    response = engineer.client.post(f"/operations/holds/{made.hold}/resolve", data={"action": "leave", "reason": "x"})
    assert response.status_code == 400
    assert made.hold in [hold.id for hold in holds.open_holds(made.held.database)]


def test_an_auditor_is_led_to_the_audit_log_alone(made: Site) -> None:
    auditor = made.browser("auditor")
    assert auditor.client.get("/operations").headers["Location"] == "/operations/audit"
    page = auditor.open("/operations/audit")
    assert page.headings == ["Audit log"]
    assert "/operations/holds" not in page.addresses()


@pytest.mark.parametrize("who", ["radiologist", "clinician", "coordinator", "administrator", "launched"])
def test_nobody_else_reads_the_audit_log(made: Site, who: str) -> None:
    made.browser(who).open("/operations/audit", FORBIDDEN)
    made.browser(who).open("/operations", FORBIDDEN)


def test_an_installation_without_operations_has_no_such_pages(made: Site) -> None:
    without: UiServices = replace(made.services, operations=None)
    rules = {rule.rule for rule in create_ui(without).url_map.iter_rules()}
    assert not [rule for rule in rules if rule.startswith("/operations")]


def test_every_page_has_one_heading_one_main_part_and_no_inline_script_or_style(made: Site, engineer: Browser) -> None:
    single = ("/operations", f"/operations/holds/{made.hold}", f"/operations/deliveries/{made.delivery}")
    for path in (*single, *(one for one in ENGINEERS if not one.endswith("/now"))):
        page = engineer.open(path)
        tags = [tag for tag, _ in page.elements]
        assert (tags.count("h1"), tags.count("main")) == (1, 1), path
        assert not [a for _, a in page.elements if "style" in a or any(name.startswith("on") for name in a)], path
        assert all("src" in a for tag, a in page.elements if tag == "script"), path
        ids = [a["id"] for _, a in page.elements if a.get("id")]
        assert len(ids) == len(set(ids)), path
        labels = {a.get("for") for tag, a in page.elements if tag == "label"}
        fields = [a for tag, a in page.elements if tag in ("input", "select") and a.get("type") != "hidden"]
        assert {a.get("id") for a in fields} <= labels, path


def test_no_page_is_kept_by_a_browser_or_a_proxy(made: Site, engineer: Browser) -> None:
    for path in (*ENGINEERS, "/operations", "/operations/audit"):
        headers = engineer.client.get(path).headers
        assert "no-store" in headers["Cache-Control"], path
        assert "default-src 'none'" in headers["Content-Security-Policy"], path
    engineer.open("/operations/messages/1")
    told = engineer.client.post("/operations/messages/1/content", data={"csrf_token": engineer.token})
    assert "no-store" in told.headers["Cache-Control"]


# --- overview


def test_the_overview_tells_alarms_roles_queues_and_the_disk(made: Site, engineer: Browser) -> None:
    with made.held.database.writing() as session:
        session.add(HeartbeatRow(name="host/worker-0", role="worker", at=made.clock.at - timedelta(seconds=4)))
        session.add(HeartbeatRow(name="host/hl7", role="hl7", at=made.clock.at - timedelta(minutes=5)))
    page = engineer.open("/operations")
    assert "alive" in page.row("worker host/worker-0")
    assert "not heard any more" in page.row("hl7 host/hl7")
    assert "missing" in page.row("hl7 none")
    assert page.row("deliveries to ehr").split()[3:5] == ["pending", "1"]
    assert page.row("HL7 inbox").split()[2:5] == ["not", "applied", "1"]
    assert "2 h ago" in page.row("held: match-in-doubt")
    assert "1 delivery to ehr not sent" in page.text
    assert "enough" in page.text or "short" in page.text


def test_the_changing_part_comes_alone(engineer: Browser) -> None:
    part = engineer.open("/operations/now")
    assert "html" not in [tag for tag, _ in part.elements]
    assert "Queues" in part.text


# --- held items


def test_a_held_item_is_listed_opened_taken_and_resolved(made: Site, engineer: Browser) -> None:
    assert "it is in doubt" in engineer.open("/operations/holds").row(made.hold)
    page = engineer.open(f"/operations/holds/{made.hold}")
    assert {form["@action"] for form in page.forms} >= {
        f"/operations/holds/{made.hold}/take", f"/operations/holds/{made.hold}/resolve",
    }  # fmt: skip
    engineer.send(f"/operations/holds/{made.hold}/take")
    assert made.audited("hold taken") == [("ada", (made.hold, "match-in-doubt"))]
    said = engineer.send(f"/operations/holds/{made.hold}/resolve", action="leave", reason="seen at the scanner")
    assert f"{made.hold} is resolved by leave." in said.text
    assert made.audited("hold resolved") == [("ada", (made.hold, "match-in-doubt", "leave: seen at the scanner"))]
    assert made.held.studies.study("1.2").decided == "leave"
    assert "leave: seen at the scanner, by ada" in engineer.open("/operations/holds?resolved=1").row(made.hold)


def test_a_form_that_is_sent_twice_does_it_once_and_says_who_was_quicker(made: Site, engineer: Browser) -> None:
    address = f"/operations/holds/{made.hold}/resolve"
    engineer.send(address, action="leave", reason="first")
    again = engineer.send(address, 409, action="retract", reason="second")
    assert "this was resolved already: leave: first, by ada" in again.text
    assert len(made.audited("hold resolved")) == 1


@pytest.mark.parametrize(
    ("form", "wanted"),
    [
        ({"action": "leave"}, "Say why"),
        ({"action": "leave", "reason": " \t "}, "Say why"),
        ({"action": "leave", "reason": "x" * 501}, "Say why"),
        ({"action": "burn", "reason": "x"}, "leave, attach, retract"),
        ({"action": "attach", "reason": "x"}, "the accession number or id of the order"),
        ({"action": "leave", "reason": "x", "to": "A1"}, "takes no --to"),
    ],
)
def test_what_a_form_lacks_is_said_in_words(made: Site, engineer: Browser, form: dict[str, str], wanted: str) -> None:
    page = engineer.send(f"/operations/holds/{made.hold}/resolve", 400, **form)
    assert wanted in page.text
    assert made.hold in [hold.id for hold in holds.open_holds(made.held.database)]


def test_a_held_item_that_is_not_there_is_not_found(engineer: Browser) -> None:
    engineer.open("/operations/holds/ffffffff", 404)


def test_held_items_are_chosen_by_kind_and_turned_by_pages(made: Site, engineer: Browser) -> None:
    with made.held.database.writing() as session:
        for number in range(60):
            holds.put(session, f"w{number}", HoldKind.WORK_FAILED, f"reason {number}", NOW, work_id=f"w{number}")
    first = engineer.open("/operations/holds?kind=work-failed")
    assert len(first.rows) == 51
    assert "/operations/holds?page=2&kind=work-failed" in first.addresses()
    assert len(engineer.open("/operations/holds?kind=work-failed&page=2").rows) == 11
    engineer.open("/operations/holds?kind=nothing", 400)
    engineer.open("/operations/holds?page=0", 400)
    engineer.open("/operations/holds?page=101", 400)


def test_dead_letters_are_what_ended_in_vain_with_the_reason(made: Site, engineer: Browser) -> None:
    page = engineer.open("/operations/dead-letters")
    assert "PID-3.4" in page.row(made.message_hold)
    assert not [row for row in page.rows if row.startswith(made.hold)]
    assert "101" in page.row(holds.short_id("delivery:ehr-1:1"))


# --- switches


def test_a_model_is_switched_off_and_on_with_a_reason(made: Site, engineer: Browser) -> None:
    page = engineer.open("/operations/switches")
    assert "advisory" in page.row("ct_lung_density")
    assert "shadow" in page.row("ct_aorta")
    engineer.send("/operations/switches", kind="model", name="ct_lung_density", turn="off", reason="it sees ghosts")
    assert made.held.switches.off(SwitchKind.MODEL, "ct_lung_density")
    told = engineer.open("/operations/switches").row("ct_lung_density")
    assert "switched off" in told
    assert "by ada: it sees ghosts" in told
    engineer.send("/operations/switches", kind="model", name="ct_lung_density", turn="on", reason="mended")
    assert made.held.switches.all() == []
    assert made.audited("switch off") == [("ada", ("model ct_lung_density", "it sees ghosts"))]
    assert made.audited("switch on") == [("ada", ("model ct_lung_density", "mended"))]


def test_a_destination_is_paused_and_tells_what_waits(made: Site, engineer: Browser) -> None:
    engineer.send("/operations/switches", kind="destination", name="ehr", turn="off", reason="moving house")
    told = engineer.open("/operations/switches").row("ehr")
    assert told.startswith("ehr 1 ")
    assert "paused" in told


def test_switching_twice_is_told_and_does_nothing_more(made: Site, engineer: Browser) -> None:
    form = {"kind": "destination", "name": "ehr", "turn": "off", "reason": "moving"}
    engineer.send("/operations/switches", **form)
    assert "was switched off already, by ada" in engineer.send("/operations/switches", 409, **form).text
    assert len(made.audited("switch off")) == 1


@pytest.mark.parametrize(
    ("changed", "status"),
    [({"name": "nowhere"}, 404), ({"turn": "sideways"}, 400), ({"kind": "planet"}, 400), ({"reason": ""}, 400)],
)
def test_a_switch_that_cannot_be_turned_is_refused(
    made: Site, engineer: Browser, changed: dict[str, str], status: int
) -> None:
    form = {"kind": "destination", "name": "ehr", "turn": "off", "reason": "moving", **changed}
    engineer.send("/operations/switches", status, **form)
    assert made.held.switches.all() == []


# --- the timeline


def test_the_timeline_of_a_study_is_found_by_its_number_and_noted(made: Site, engineer: Browser) -> None:
    page = engineer.send("/operations/timeline", 200, asked="A1")
    assert "1.2" in page.text
    assert "Step" in page.text
    assert [actor for actor, _ in made.audited("timeline viewed")] == ["ada"]
    assert "Nothing here has" in engineer.send("/operations/timeline", 200, asked="nothing").text
    assert len(made.audited("timeline viewed")) == 1
    engineer.send("/operations/timeline", 400, asked="  ")


def test_a_number_is_never_in_an_address(made: Site, engineer: Browser) -> None:
    assert engineer.client.get("/operations/timeline?asked=A1").get_data(as_text=True).count("1.2.840") == 0
    for path in ("/operations/holds", f"/operations/holds/{made.hold}", f"/operations/deliveries/{made.delivery}"):
        assert not [one for one in engineer.open(path).addresses() if "1.2" in one]


# --- HL7 inbox


def test_messages_are_listed_and_chosen_without_anything_of_a_patient(engineer: Browser) -> None:
    page = engineer.open("/operations/messages")
    assert "quarantined" in page.row("1 ")
    assert "received" in page.row("2 ")
    assert "Geheim" not in page.text
    only = engineer.open("/operations/messages?state=quarantined&type=ADT&since=2026-11-01")
    assert [row[:2] for row in only.rows[1:]] == ["1 "]
    assert "No message is like this" in engineer.open("/operations/messages?sender=NOBODY").text
    for wrong in ("state=lost", "since=yesterday", "page=x", f"sender={'x' * 129}"):
        engineer.open(f"/operations/messages?{wrong}", 400)


def test_the_content_of_a_message_is_shown_after_a_click_that_is_noted(made: Site, engineer: Browser) -> None:
    before = engineer.open("/operations/messages/1")
    assert "Geheim" not in before.text
    assert made.audited("message shown") == []
    after = engineer.send("/operations/messages/1/content", 200)
    assert "PID-5 Geheim^Tom" in after.text
    assert made.audited("message shown") == [("ada", ("message 1",))]
    engineer.open("/operations/messages/99", 404)
    engineer.send("/operations/messages/99/content", 404)


def test_a_message_is_replayed_with_a_reason(made: Site, engineer: Browser) -> None:
    page = engineer.send("/operations/messages/1/replay", reason="the sender was mended")
    assert "Message 1 is still quarantined" in page.text
    assert made.audited("message replay asked") == [("ada", ("message 1", "the sender was mended"))]
    assert [actor for actor, _ in made.audited("message replayed")] == ["ada"]
    engineer.send("/operations/messages/1/replay", 400)
    engineer.send("/operations/messages/99/replay", 404, reason="x")


def test_a_replay_with_other_settings_applies_the_message_and_ends_its_hold(tmp_path: Path) -> None:
    made = site(tmp_path)
    form = made.browser("engineer").open("/operations/messages?state=quarantined").forms[-1]
    assert (form["@action"], form["state"]) == ("/operations/messages/replay", "quarantined")
    mended = again(tmp_path, assigning_authority="HOSP")
    page = mended.browser("engineer").send("/operations/messages/1/replay", reason="an authority is configured now")
    assert "Message 1 is applied" in page.text
    assert made.message_hold not in [hold.id for hold in holds.open_holds(made.held.database)]


def test_all_that_waits_is_replayed_with_a_reason(tmp_path: Path) -> None:
    site(tmp_path)
    mended = again(tmp_path, assigning_authority="HOSP")
    engineer = mended.browser("engineer")
    engineer.send("/operations/messages/replay", 400, state="applied", reason="x")
    engineer.send("/operations/messages/replay", 400, state="quarantined")
    page = engineer.send("/operations/messages/replay", state="quarantined", reason="an authority is configured now")
    assert "1 messages are applied, 0 are not." in page.text
    asked = ("all that are quarantined", "an authority is configured now")
    assert mended.audited("message replay asked") == [("ada", asked)]
    assert "0 messages are applied" in engineer.send(
        "/operations/messages/replay", state="quarantined", reason="once more"
    ).text  # fmt: skip


# --- deliveries


def test_deliveries_are_listed_and_chosen(made: Site, engineer: Browser) -> None:
    page = engineer.open("/operations/deliveries")
    assert "refused" in page.row(made.delivery)
    assert "Geheim" not in page.text
    only = engineer.open("/operations/deliveries?state=pending&destination=ehr")
    assert len(only.rows) == 2
    engineer.open("/operations/deliveries?state=lost", 400)


def test_what_is_sent_is_shown_after_a_click_that_is_noted(made: Site, engineer: Browser) -> None:
    assert "Geheim" not in engineer.open(f"/operations/deliveries/{made.delivery}").text
    assert "Geheim^Tom" in engineer.send(f"/operations/deliveries/{made.delivery}/content", 200).text
    assert made.audited("delivery shown") == [("ada", ("delivery ehr-1",))]


def test_a_refused_delivery_is_sent_again_once(made: Site, engineer: Browser) -> None:
    with made.held.database.writing() as session:
        enqueue(
            session, delivery_id="told", destination="alarm:webhook", kind=DeliveryKind.ALERT, payload=b"{}", now=NOW
        )
    made.held.deliveries.begin("told", NOW)
    made.held.deliveries.refused("told", "410", NOW)
    short = holds.short_id("told")
    assert "/operations/deliveries/told/resend" in engineer.open(f"/operations/deliveries/{short}").addresses()
    engineer.send(f"/operations/deliveries/{short}/resend", 400)
    page = engineer.send(f"/operations/deliveries/{short}/resend", reason="their server is back")
    assert f"/operations/deliveries/{holds.short_id('told~1')}" in page.addresses()
    assert "pending" in engineer.open("/operations/deliveries").row(holds.short_id("told~1"))
    assert ("ada", "send-again: their server is back") in [(a, d[-1]) for a, d in made.audited("hold resolved")]
    assert "resolved already" in engineer.send(f"/operations/deliveries/{short}/resend", 409, reason="again").text


def test_what_sightline_does_not_say_any_more_is_not_sent_again(made: Site, engineer: Browser) -> None:
    page = engineer.send(f"/operations/deliveries/{made.delivery}/resend", 409, reason="their server is back")
    assert "give-up is what is left" in page.text


def test_what_was_not_refused_cannot_be_sent_again(made: Site, engineer: Browser) -> None:
    address = "/operations/deliveries/ehr-2"
    assert "/operations/deliveries/ehr-2" in engineer.open("/operations/deliveries").addresses()
    assert f"{address}/resend" not in engineer.open(address).addresses()
    engineer.send(f"{address}/resend", 409, reason="why not")
    engineer.open("/operations/deliveries/ffffffff", 404)


# --- identity


def changed(made: Site) -> int:
    """A patient's merge, as a message states it; its id."""
    from tests.contract.identity_contract import Feed
    from tests.databases import Databases

    feed = Feed(Databases(made.settings.data_dir, "", made.held.database, made.held.database))
    feed.number = 100
    feed.register("P1")
    feed.register("P2")
    feed.merge("P2", "P1")
    return history(made.held.database)[-1].id


def test_a_merge_is_listed_found_by_a_number_and_undone_with_a_reason(made: Site, engineer: Browser) -> None:
    number = changed(made)
    assert "merge (A40)" in engineer.open("/operations/identity").row(f"{number} ")
    assert "merge (A40)" in engineer.send("/operations/identity", 200, number="P2").row(f"{number} ")
    assert [actor for actor, _ in made.audited("identity changes viewed")] == ["ada"]
    assert "Nothing changed" in engineer.send("/operations/identity", 200, number="P9").text
    engineer.send("/operations/identity", 400, number="")
    engineer.send(f"/operations/identity/{number}/undo", 400)
    page = engineer.send(f"/operations/identity/{number}/undo", reason="two sisters")
    assert "ended" in page.row(f"{number} ")
    assert made.audited("merge undone")[0][0] == "ada"
    assert made.audited("reason of undo") == [("ada", (f"change {number}", "two sisters"))]
    again = engineer.send(f"/operations/identity/{number}/undo", 409, reason="once more")
    assert "it was ended by ada" in again.text
    assert len(made.audited("reason of undo")) == 1
    engineer.send("/operations/identity/999/undo", 404, reason="x")


# --- configuration


def test_the_configuration_names_secrets_and_shows_none(made: Site, engineer: Browser) -> None:
    page = engineer.open("/operations/configuration")
    assert page.row("alarm_webhook_url") == "alarm_webhook_url set, not shown ℹ this site "
    assert "127.0.0.1" in page.row("oru_destinations.ehr.host")
    assert SECRET_WEBHOOK not in page.text


# --- audit log


def test_the_audit_log_is_searched_and_the_search_is_in_it(made: Site) -> None:
    made.browser("engineer").send("/operations/switches", kind="destination", name="ehr", turn="off", reason="x")
    auditor = made.browser("auditor")
    page = auditor.send("/operations/audit", 200, who="ADA", action="switch", since="2026-11-20", until="2026-11-20")
    assert len(page.rows) == 2
    assert "switch off" in page.rows[1]
    searched = made.audited("audit log searched")
    assert searched[-1] == (
        "aud",
        (
            "who ADA", "action switch", "since 2026-11-19T23:00:00+00:00", "until 2026-11-20T23:00:00+00:00", "page 1",
        ),
    )  # fmt: skip
    assert "no such line" in auditor.send("/operations/audit", 200, who="ada", until="2026-11-19").text
    auditor.send("/operations/audit", 400, since="whenever")
    auditor.send("/operations/audit", 400, page="0")


def test_more_lines_than_a_page_are_turned_by_a_form_that_keeps_the_search(made: Site) -> None:
    for number in range(51):
        made.held.audit.write(AuditEvent(NOW + timedelta(seconds=number), "eva", "something done"))
    auditor = made.browser("auditor")
    first = auditor.send("/operations/audit", 200, who="eva")
    assert len(first.rows) == 51
    (turn,) = [form for form in first.forms if form.get("page") == "2"]
    assert turn["who"] == "eva"
    second = auditor.send("/operations/audit", 200, **{name: turn[name] for name in ("who", "page")})
    assert len(second.rows) == 2
