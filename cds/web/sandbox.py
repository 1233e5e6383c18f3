"""The sandbox: a page that plays an EHR for a chosen patient, and the FHIR server of that EHR. On loopback alone.

It has no login, so nobody but this machine's own browser may use it: other hosts and forms of other pages are refused.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
import socket
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from flask import Flask, Response, abort, redirect, render_template, request, url_for
from werkzeug.exceptions import HTTPException
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server
from werkzeug.wrappers import Response as AnyResponse

from adapters.fhir.outcome import operation_outcome
from cds.errors import InvalidInput, NotFound, SightlineError, Unavailable
from cds.render import gfm
from cds.sandbox import orders
from cds.sandbox.chart import Json, objects, the_object
from cds.sandbox.desk import Desk, Form
from cds.sandbox.orders import Draft
from cds.web.answers import FHIR_JSON, answer

LOOPBACK = "127.0.0.1"
_FHIR = "/fhir"
_JWKS = "/.well-known/jwks.json"
_LARGEST_FORM = 64 * 1024
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    # Not "no-referrer": forms would then come with the Origin "null", and could not be told from those of others.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


def create_sandbox(desk: Desk, *, jwks: Callable[[], Json] | None = None) -> Flask:
    """The pages and the FHIR server of a played EHR; `jwks` are the keys that it signs its calls with."""
    app = Flask(__name__, static_folder=None, template_folder="sandbox_files")
    app.config.update(MAX_CONTENT_LENGTH=_LARGEST_FORM, PROVIDE_AUTOMATIC_OPTIONS=False)
    app.jinja_env.globals.update(desk=desk, with_order=orders.WITH_ORDER, played=orders.PLAYED)
    app.jinja_env.filters.update(gfm=gfm.html, pretty=_pretty, objects=objects, the_object=the_object)
    app.jinja_env.tests.update(web_address=_is_web_address)
    app.before_request(_only_this_machine)
    app.after_request(_finish)
    app.register_error_handler(SightlineError, _refused)
    app.register_error_handler(HTTPException, _http)
    pages, fhir = _Pages(app, desk), _Fhir(desk)
    app.add_url_rule("/", view_func=pages.start)
    app.add_url_rule("/style.css", view_func=pages.style)
    app.add_url_rule("/charts/<int:patient>/<service_id>/<hook>", "form", pages.form)
    app.add_url_rule("/charts/<int:patient>/<service_id>/<hook>", "call", pages.call, methods=["POST"])
    app.add_url_rule("/calls/<name>", "result", pages.result)
    app.add_url_rule("/calls/<name>/cards/<int:number>", "done", pages.done, methods=["POST"])
    app.add_url_rule(f"{_FHIR}/<kind>/<resource_id>", view_func=fhir.read)
    app.add_url_rule(f"{_FHIR}/<kind>", view_func=fhir.search)
    app.add_url_rule(f"{_FHIR}/<kind>/_search", "search_by_form", fhir.search_by_form, methods=["POST"])
    app.add_url_rule(f"{_FHIR}/metadata", view_func=fhir.metadata)
    if jwks is not None:
        app.add_url_rule(_JWKS, "jwks", lambda: answer(jwks()))
    return app


def listen(app: Flask, door: socket.socket) -> BaseWSGIServer:
    """The server of the sandbox on a socket that is bound to loopback; `.serve_forever` runs it."""
    host, port = door.getsockname()
    return make_server(host, port, app, threaded=True, request_handler=_Quiet, fd=door.fileno())


class _Quiet(WSGIRequestHandler):
    """Addresses may name what is in a chart: none is logged."""

    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: object) -> None:
        """No access log."""


@dataclass(frozen=True, slots=True)
class _Pages:
    app: Flask
    desk: Desk

    def start(self) -> str:
        number = request.args.get("patient", 0, type=int)
        services: list[Json] = []
        problem = ""
        try:
            services = self.desk.services()
        except (NotFound, Unavailable) as error:
            problem = str(error)
        return render_template(
            "start.html", chart=self.desk.chart(number), number=number, services=services, problem=problem
        )

    def style(self) -> Response:
        with self.app.open_resource("sandbox_files/style.css") as file:
            return Response(file.read(), content_type="text/css; charset=utf-8")

    def form(self, patient: int, service_id: str, hook: str) -> str:
        chart, service = self.desk.chart(patient), self.desk.service(service_id, hook)
        return render_template(
            "form.html", chart=chart, service=service, hook=hook, exams=orders.choices(), priorities=orders.PRIORITIES
        )

    def call(self, patient: int, service_id: str, hook: str) -> AnyResponse:
        chart, service = self.desk.chart(patient), self.desk.service(service_id, hook)
        return redirect(url_for("result", name=self.desk.call(chart, service, _form(hook))), code=303)

    def result(self, name: str) -> str:
        return render_template("result.html", exchange=self.desk.exchange(name), name=name)

    def done(self, name: str, number: int) -> AnyResponse:
        exchange = self.desk.exchange(name)
        if "accept" in request.form:
            self.desk.accept(exchange, number, request.form["accept"])
        else:
            reason = request.form.get("later") or request.form.get("reason", "")
            self.desk.override(exchange, number, reason, request.form.get("comment", "").strip())
        return redirect(url_for("result", name=name, _anchor=f"card-{number}"), code=303)


@dataclass(frozen=True, slots=True)
class _Fhir:
    """Enough of a FHIR R4 server for what is not prefetched: read, search and a short CapabilityStatement."""

    desk: Desk

    def read(self, kind: str, resource_id: str) -> Response:
        self._authorize()
        return answer(self.desk.find(kind, resource_id)[1], content_type=FHIR_JSON)

    def search(self, kind: str) -> Response:
        return self._searched(kind, request.query_string.decode())

    def search_by_form(self, kind: str) -> Response:
        return self._searched(kind, request.get_data(as_text=True, parse_form_data=False))

    def metadata(self) -> Response:
        rest = {"mode": "server", "security": {"description": "the access_token of fhirAuthorization"}}
        said: Json = {"resourceType": "CapabilityStatement", "status": "active", "kind": "instance", "rest": [rest]}
        return answer(said | {"fhirVersion": "4.0.1", "format": ["json"]}, content_type=FHIR_JSON)

    def _searched(self, kind: str, query: str) -> Response:
        """Over the chart that the search names; each chart holds one patient."""
        self._authorize()
        bundles = [chart.search(f"{kind}?{query}", self.desk.fhir_url) for chart in self.desk.charts]
        return answer(next((one for one in bundles if one["total"]), bundles[0]), content_type=FHIR_JSON)

    def _authorize(self) -> None:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.encode(), self.desk.token.encode()):
            abort(401)


def _form(hook: str) -> Form:
    sent = request.form
    draft = None
    if hook in orders.WITH_ORDER:
        written = {name: sent[name].strip() for name in Draft.__slots__ if sent.get(name, "").strip()}
        if "exam" not in written:
            raise InvalidInput("want an exam")
        draft = Draft(**written)
    user = sent.get("user", "").strip() or Form().user
    return Form(user, sent.getlist("key"), sent.get("token") == "yes", draft)


def _only_this_machine() -> None:
    """Another site's page must neither read nor send through this browser, under whatever name it reaches us."""
    if not _is_loopback(urlsplit(f"//{request.host}").hostname or ""):
        abort(403)
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc != request.host:
        abort(403)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _finish(response: Response) -> Response:
    response.headers.update(_HEADERS)
    return response


def _refused(error: SightlineError) -> AnyResponse:
    if _wants_json():
        return answer(operation_outcome(error.issue_code, str(error)), status=error.http_status, content_type=FHIR_JSON)
    return Response(render_template("error.html", text=str(error)), status=error.http_status, content_type="text/html")


def _http(error: HTTPException) -> AnyResponse:
    status = error.code or 500
    if _wants_json():
        return answer(operation_outcome("processing", error.name), status=status, content_type=FHIR_JSON)
    return Response(render_template("error.html", text=error.name), status=status, content_type="text/html")


def _wants_json() -> bool:
    return request.path.startswith(_FHIR) or request.path == _JWKS


def _is_web_address(value: object) -> bool:
    return isinstance(value, str) and gfm.is_web(value)


def _pretty(value: object) -> str:
    """JSON for people, without the access token: it is nobody's business, and a page gets copied."""
    return json.dumps(_hidden(value), indent=2, ensure_ascii=False)


def _hidden(value: object) -> object:
    if isinstance(value, dict):
        return {name: "…" if name == "access_token" else _hidden(one) for name, one in value.items()}
    return [_hidden(one) for one in value] if isinstance(value, list) else value
