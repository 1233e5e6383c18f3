"""The frame of the pages that are built here: nothing is loaded, nothing runs, no search engine keeps them."""

from __future__ import annotations

from html import escape

from flask import Response

from cds.hook_peers import INSECURE
from cds.settings import Settings

HTML = "text/html; charset=utf-8"
_FRAME = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    '<meta name="viewport" content="width=device-width"><meta name="robots" content="noindex"></head>'
    "<body>{notice}<main><h1>{heading}</h1>{body}</main></body></html>"
)


def insecure_notice(settings: Settings) -> str:
    """What every page says first in development mode; empty otherwise."""
    return f'<p role="alert"><strong>{escape(INSECURE)}</strong></p>' if settings.insecure else ""


def page(title: str, heading: str, body: str, *, settings: Settings, status: int = 200) -> Response:
    """A page; `body` is HTML already."""
    words = {"title": escape(title), "heading": escape(heading)}
    return Response(
        _FRAME.format(**words, body=body, notice=insecure_notice(settings)), status=status, content_type=HTML
    )
