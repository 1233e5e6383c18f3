"""What is accepted on a card is followed up though no report recommends it: over HTTP and real stores."""

from __future__ import annotations

from pathlib import Path

from cds.domain.follow_up import FollowUpState
from cds.store.acceptances import AcceptanceStore
from tests.contract import hook_site, web_peer
from tests.contract.hook_site import DISCHARGE, FINDINGS, NAMES, HookSite

PATIENT = "02-emphysema"
STUDY = f"2.25.{NAMES.index(PATIENT) + 1}"


def test_a_step_that_only_the_ehrs_own_data_led_to_is_tracked_once_it_is_accepted(tmp_path: Path) -> None:
    with (
        hook_site.stored(tmp_path) as (settings, held),
        web_peer.running(hook_site.app(settings, held)) as url,
    ):
        site, follow_ups = HookSite(url, settings), AcceptanceStore(held.database)
        with site.http:
            assert follow_ups.follow_ups(study_uid=STUDY) == ()
            body = site.body(FINDINGS, PATIENT)
            card = site.answer(FINDINGS, body)["cards"][0]
            step = card["suggestions"][0]
            accepted = {
                "card": card["uuid"],
                "outcome": "accepted",
                "acceptedSuggestions": [{"id": step["uuid"]}],
                "outcomeTimestamp": "2026-11-22T09:30:00Z",
            }
            [issue] = site.feedback(FINDINGS, accepted).json()["issue"]
            assert issue["severity"] == "information"
            [begun] = follow_ups.follow_ups(study_uid=STUDY)
            assert (begun.state, begun.action) == (FollowUpState.ACCEPTED, step["label"])
            offered = [one["label"] for one in site.answer(FINDINGS, body)["cards"][0].get("suggestions", [])]
            assert step["label"] not in offered
            leaving = site.answer(DISCHARGE, site.body(DISCHARGE, PATIENT))["cards"]
            assert not any(
                step["label"] in one.get("label", "") for card in leaving for one in card.get("suggestions", [])
            )
