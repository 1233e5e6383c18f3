"""Reminders of follow-ups by mail and webhook: what is due and where to say what was done; no patient or number."""

from __future__ import annotations

from adapters.notify.mail import mail_message
from adapters.notify.webhook import webhook_body
from cds.domain.follow_up_care import ReminderNotice


def reminder_mail(notice: ReminderNotice, delivery_id: str, *, sender: str, to: str) -> bytes:
    """The message of a reminder, without PHI."""
    return mail_message(
        sender=sender,
        to=to,
        subject=f"[{notice.site}] {notice.headline}",
        lines=notice.lines,
        message_id=delivery_id,
        at=notice.sent_at,
    )


def reminder_webhook(notice: ReminderNotice, delivery_id: str) -> bytes:
    """The JSON of a reminder, without PHI."""
    due = notice.due
    return webhook_body(
        delivery_id,
        kind="follow-up-reminder",
        title=notice.headline,
        at=notice.sent_at,
        fields={
            "follow_up_id": due.follow_up.id,
            "step": due.step.value,
            "action": due.follow_up.action,
            "due": due.due.isoformat(),
            "owner": due.owner,
            "site": notice.site,
            "recipient": notice.recipient,
            "answer_at_url": notice.link,
            "lines": list(notice.lines),
        },
    )
