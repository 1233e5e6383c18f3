"""The HL7 v2 inbox and the deliveries: what came and what went, what is in it for who asks, and both once more."""

from __future__ import annotations

import json
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, request
from werkzeug.wrappers import Response as AnyResponse

from cds.domain.hold import Action
from cds.domain.message import MessageState
from cds.domain.report import DeliveryState
from cds.errors import InvalidInput
from cds.ui.operations import DeliveriesAsked, MessagesAsked, OperationsServices
from cds.ui.operations_segments import MOST_SHOWN, printable, segments
from cds.ui.people import Role
from cds.ui.services import UiServices
from cds.web.ui import operations_forms as forms
from cds.web.ui.guard import allow, person
from cds.web.ui.shown import page, redirect_to, say

#: What waits because it could not be applied.
_REPAIRABLE = frozenset({MessageState.QUARANTINED, MessageState.FAILED})


def add(found: Blueprint, services: UiServices, operations: OperationsServices) -> None:
    """The routes below /operations/messages and /operations/deliveries."""
    views = _Views(services, operations)
    for rule, view, method in (
        ("/messages", views.messages, "GET"),
        ("/messages/replay", views.replay_all, "POST"),
        ("/messages/<int:message_id>", views.message, "GET"),
        ("/messages/<int:message_id>/content", views.message_content, "POST"),
        ("/messages/<int:message_id>/replay", views.replay, "POST"),
        ("/deliveries", views.deliveries, "GET"),
        ("/deliveries/<delivery_id>", views.delivery, "GET"),
        ("/deliveries/<delivery_id>/content", views.delivery_content, "POST"),
        ("/deliveries/<delivery_id>/resend", views.resend, "POST"),
    ):
        found.add_url_rule(rule, view_func=view, methods=[method])


@dataclass(frozen=True, slots=True)
class _Views:
    services: UiServices
    operations: OperationsServices

    @allow(Role.ENGINEER)
    def messages(self) -> Response:
        """The newest messages that fit."""
        asked = self._messages_asked()
        found = self.operations.messages.entries(asked)
        states = tuple(MessageState)
        return page(
            "operations_messages.html",
            messages=found,
            asked=asked,
            states=states,
            given=_given(),
            can_replay=asked.state in _REPAIRABLE,
        )

    @allow(Role.ENGINEER)
    def message(self, message_id: int) -> Response:
        """Everything about one message but what is in it."""
        return page(
            "operations_message.html", story=self.operations.messages.story(message_id), segments=None, is_cut=False
        )

    @allow(Role.ENGINEER)
    def message_content(self, message_id: int) -> Response:
        """The message itself, which names a patient: the audit log has who looked before it is shown."""
        text = self.operations.messages.text(message_id, person().user)
        story = self.operations.messages.story(message_id)
        return page("operations_message.html", story=story, segments=segments(text), is_cut=len(text) > MOST_SHOWN)

    @allow(Role.ENGINEER)
    def replay(self, message_id: int) -> AnyResponse:
        """Read and apply it again, with the settings of now."""
        done = self.operations.messages.replay(message_id, person().user, forms.reason())
        what = "applied" if done.applied else f"still {done.now}" if done.was is done.now else f"now {done.now}"
        say(f"Message {message_id} is {what}." + (f" {done.reason}" if done.reason else ""), _kind(done.applied))
        return redirect_to("operations.message", message_id=message_id)

    @allow(Role.ENGINEER)
    def replay_all(self) -> AnyResponse:
        """Read and apply again what could not be, once what was wrong is mended."""
        state = forms.one_of("state", MessageState, request.form)
        if state not in _REPAIRABLE:
            raise InvalidInput(f"state: want one of {', '.join(sorted(_REPAIRABLE))}")
        done = self.operations.messages.replay_all(state, person().user, forms.reason())
        left = f" {done.left} are left: send the form again." if done.left else ""
        say(f"{done.applied} messages are applied, {done.still} are not.{left}", _kind(not done.still))
        return redirect_to("operations.messages", state=state.value)

    @allow(Role.ENGINEER)
    def deliveries(self) -> Response:
        """The newest deliveries that fit."""
        args, desk = request.args, self.operations.deliveries
        state = forms.one_of("state", DeliveryState, args)
        asked = DeliveriesAsked(forms.text("destination", args), state, forms.page_number(args))
        return page(
            "operations_deliveries.html",
            deliveries=desk.entries(asked),
            asked=asked,
            states=tuple(DeliveryState),
            destinations=desk.destinations,
            given=_given(),
        )

    @allow(Role.ENGINEER)
    def delivery(self, delivery_id: str) -> Response:
        """Everything about one delivery but what is in it."""
        return self._delivery(delivery_id, None)

    @allow(Role.ENGINEER)
    def delivery_content(self, delivery_id: str) -> Response:
        """What is sent, which names a patient: the audit log has who looked before it is shown."""
        return self._delivery(delivery_id, self.operations.deliveries.raw(delivery_id, person().user))

    @allow(Role.ENGINEER)
    def resend(self, delivery_id: str) -> AnyResponse:
        """Send the same bytes again, where they still are what Sightline says."""
        self.operations.deliveries.resend(delivery_id, person().user, forms.reason())
        say("It is sent again, as a delivery of its own.")
        return redirect_to("operations.delivery", delivery_id=delivery_id)

    def _delivery(self, delivery_id: str, content: bytes | None) -> Response:
        story = self.operations.deliveries.story(delivery_id)
        can_resend = story.hold is not None and story.hold.resolved_at is None
        return page(
            "operations_delivery.html",
            story=story,
            can_resend=can_resend and story.hold is not None and Action.SEND_AGAIN in story.hold.actions,
            content=None if content is None else _lines(content),
        )

    def _messages_asked(self) -> MessagesAsked:
        args = request.args
        return MessagesAsked(
            state=forms.one_of("state", MessageState, args),
            sender=forms.text("sender", args),
            message_type=forms.text("type", args),
            control_id=forms.text("control_id", args),
            answer=forms.text("answer", args),
            refused=args.get("refused") == "1",
            since=forms.moment("since", ZoneInfo(self.services.settings.time_zone), args),
            page=forms.page_number(args),
        )


def _given() -> dict[str, str]:
    """The filters of the address, without the page."""
    return {name: value for name, value in request.args.items() if name != "page" and value}


def _kind(applied: bool) -> str:
    return "ok" if applied else "warn"


def _lines(content: bytes) -> list[str]:
    """What is sent, as lines: HL7 v2 by segment, JSON indented, and of everything else its size alone."""
    try:
        text = content[:MOST_SHOWN].decode()
    except UnicodeDecodeError:
        return [f"{len(content)} bytes that are no text"]
    if text.lstrip().startswith("{"):
        try:
            text = json.dumps(json.loads(content), indent=2, ensure_ascii=False)[:MOST_SHOWN]
        except ValueError:
            return [printable(line) for line in text.splitlines()]
    return [printable(line) for line in text.splitlines()]
