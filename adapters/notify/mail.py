"""Mail by SMTP (RFC 5321): one message to one address, the same bytes and Message-ID on every attempt."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Sequence
from datetime import datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr

from cds.errors import InvalidInput, PeerFailed, PeerRefused, Unavailable

_TIMEOUT_S = 30.0
_PERMANENT = range(500, 600)


def mail_message(
    *, sender: str, to: str, subject: str, lines: Sequence[str], message_id: str, at: datetime, urgent: bool = False
) -> bytes:
    """A message of plain text (RFC 5322) with a Message-ID made of `message_id`, so that a repeat is recognised.

    No PHI: mail is read on telephones and kept by others. Raise InvalidInput for an address that is none.
    """
    if "@" not in parseaddr(to)[1] or "@" not in parseaddr(sender)[1]:
        raise InvalidInput("want a mail address for the sender and for the recipient")
    message = EmailMessage(policy=SMTP)
    message["From"], message["To"], message["Subject"] = sender, to, " ".join(subject.split())
    message["Date"] = format_datetime(at)
    message["Message-ID"] = f"<{message_id}@{parseaddr(sender)[1].rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no vacation message answers it
    if urgent:
        message["Importance"] = "High"
        message["X-Priority"] = "1"
    message.set_content("\n".join(lines) + "\n")
    return message.as_bytes()


class MailChannel:
    """Port Channel: what it sends are the bytes of `mail_message`, to the address in them."""

    def __init__(self, name: str, host: str, port: int, *, timeout_s: float = _TIMEOUT_S) -> None:
        self._name, self._host, self._port, self._timeout_s = name, host, port, timeout_s

    @property
    def name(self) -> str:
        """The destination's name."""
        return self._name

    def send(self, payload: bytes) -> str:
        """Hand it to the mail server; Unavailable means again, PeerFailed too, PeerRefused never."""
        message = message_from_bytes(payload)
        sender, to = (parseaddr(str(message[field]))[1] for field in ("From", "To"))
        try:
            with smtplib.SMTP(self._host, self._port, timeout=self._timeout_s) as server:
                _encrypt(server)
                server.sendmail(sender, [to], payload)
        except smtplib.SMTPRecipientsRefused as error:
            raise _judged(next(iter(error.recipients.values()))[0]) from None
        except smtplib.SMTPResponseException as error:
            raise _judged(error.smtp_code) from None
        except (OSError, smtplib.SMTPException) as error:
            raise Unavailable(f"the mail server does not answer: {type(error).__name__}") from None
        return f"taken by the mail server as {message['Message-ID']}"


def _encrypt(server: smtplib.SMTP) -> None:
    """Encrypt where the server offers it. Its name is not proven: better than plain text, and never a reason to wait.

    RFC 7435: opportunistic security.
    """
    server.ehlo_or_helo_if_needed()
    if not server.has_extn("starttls"):
        return
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    server.starttls(context=context)


def _judged(code: int) -> PeerRefused | PeerFailed:
    """RFC 5321 section 4.2.1: 5yz is permanent; what else is no success may be another time."""
    if code in _PERMANENT:
        return PeerRefused(f"the mail server refuses the message with {code}")
    return PeerFailed(f"the mail server could not take the message: {code}")
