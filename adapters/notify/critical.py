"""Critical results by mail and webhook: the finding and the way to acknowledge it, no patient, number or study."""

from __future__ import annotations

from adapters.notify.mail import mail_message
from adapters.notify.webhook import webhook_body
from cds.domain.critical import CriticalNotice


def critical_mail(notice: CriticalNotice, delivery_id: str, *, sender: str, to: str) -> bytes:
    """The message of a critical result, without PHI."""
    return mail_message(
        sender=sender,
        to=to,
        subject=f"[{notice.site}] {notice.headline}",
        lines=notice.lines,
        message_id=delivery_id,
        at=notice.sent_at,
        urgent=True,
    )


def critical_webhook(notice: CriticalNotice, delivery_id: str) -> bytes:
    """The JSON of a critical result, without PHI. `withdrawn` is empty while it holds."""
    result = notice.result
    return webhook_body(
        delivery_id,
        kind="critical-withdrawn" if notice.withdrawn else "critical",
        title=notice.headline,
        at=notice.sent_at,
        fields={
            "critical_id": result.id,
            "finding": result.title,
            "acr_category": result.category.value,
            "site": notice.site,
            "recipient": notice.recipient,
            "images_at": result.images_at.isoformat() if result.images_at else None,
            "acknowledge_by": result.due_at.isoformat(),
            "acknowledge_at_url": "" if notice.withdrawn else notice.link,
            "withdrawn": notice.withdrawn,
            "lines": list(notice.lines),
        },
    )
