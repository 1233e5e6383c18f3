"""openapi.yaml and the application as it is wired: requests that schemathesis makes of it, right ones and wrong ones.

No answer is a server error, has a status, type or header that is not documented, or a body of another form.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from cds import bootstrap
from cds.services import Probe
from cds.web.app import create_app
from tests.contract import hook_site
from tests.contract.hook_answers import dispatched
from tests.contract.hook_site import HOOKS, HookSite, chart, drafts, order

DOCUMENT = Path(__file__).parents[2] / "openapi.yaml"
PATHS = yaml.load(DOCUMENT.read_text(encoding="utf-8"), yaml.CSafeLoader)["paths"]
METHODS = ("get", "post", "put")


def is_of_pages(operation: Mapping[str, Any]) -> bool:
    """Whether the role ui serves it: `test_openapi_pages` asks these."""
    return bool({"Pages", "Sign-in", "Quality"} & set(operation["tags"])) or "session" in str(operation.get("security"))


OPERATIONS = [
    (operation["operationId"], path)
    for path, item in PATHS.items()
    for method, operation in item.items()
    if method in METHODS and not is_of_pages(operation)
]
#: RFC 2387: a body of one part, as STOW-RS wants it.
PARTS = 'multipart/related; type="application/dicom"; boundary=b'
#: Requests that have nothing in them, or any text.
FREE = {
    "live", "ready", "metrics", "holds", "capabilities", "critical", "jwks", "discovery", "storeInstances",
}  # fmt: skip
CALLED, ANSWERED = "callService", "giveFeedback"
#: Of each operation and kind, right and wrong.
EXAMPLES, OF_HOOKS = 4, 10


@dataclass(frozen=True)
class Api:
    """The document with the application behind it."""

    schema: Any
    site: HookSite
    checks: list[Callable[..., Any]]

    def operation(self, name: str) -> Any:
        """One operation by its id."""
        return self.schema.find_operation_by_id(name)

    def ask(self, case: Any) -> int:
        """Send a request, look at the answer, and tell its status."""
        if case.path.startswith("/cds-services"):
            case.headers = {**(case.headers or {}), **self.site.headers(case.formatted_path)}
        if case.path.startswith("/dicom-web/"):
            case.headers = {**(case.headers or {}), "Content-Type": PARTS}
        answer = case.call()
        case.validate_response(answer, checks=self.checks)
        status: int = answer.status_code
        return status


def _in_parts(context: Any, value: object) -> bytes:
    """A body of a type that schemathesis does not know how to write."""
    part = value if isinstance(value, bytes) else str(value).encode()
    return b"--b\r\nContent-Type: application/dicom\r\n\r\n" + part + b"\r\n--b--"


def api(folder: Path, stack: ExitStack, *, signed: bool) -> Api:
    """The application over real stores, with a sound machine under it."""
    import schemathesis
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    schemathesis.serializer("multipart/related")(_in_parts)
    wanted, _ = stack.enter_context(hook_site.stored(folder, signed=signed))
    wired = replace(bootstrap.services(wanted), probes=lambda: (Probe("database", True),))
    schema = schemathesis.openapi.from_path(DOCUMENT)
    schema.app = create_app(wired)
    own = [getattr(checks, f"{one}_conformance") for one in ("status_code", "content_type", "response_headers")]
    found = [not_a_server_error, *own, checks.response_schema_conformance]
    return Api(schema, HookSite("", wanted, signed), found)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """In development mode: nobody proves who calls."""
    with ExitStack() as stack:
        yield api(tmp_path_factory.mktemp("open"), stack, signed=False)


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """With an EHR that signs every call of CDS Hooks."""
    with ExitStack() as stack:
        yield api(tmp_path_factory.mktemp("signed"), stack, signed=True)


def _asked(found: Api, strategy: st.SearchStrategy[Any], examples: int) -> Counter[int]:
    """The statuses of requests that a strategy makes."""
    statuses: Counter[int] = Counter()

    @settings(
        max_examples=examples, derandomize=True, database=None, deadline=None,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(strategy)
    def ask(case: Any) -> None:
        statuses[found.ask(case)] += 1

    ask()
    return statuses


def _right(found: Api, name: str) -> st.SearchStrategy[Any]:
    from schemathesis import GenerationMode

    made: st.SearchStrategy[Any] = found.operation(name).as_strategy(generation_mode=GenerationMode.POSITIVE)
    return made


def _wrong(found: Api, name: str) -> st.SearchStrategy[Any]:
    from schemathesis import GenerationMode

    made: st.SearchStrategy[Any] = found.operation(name).as_strategy(generation_mode=GenerationMode.NEGATIVE)
    return made


@pytest.mark.parametrize("name", [name for name, _ in OPERATIONS])
def test_requests_that_the_document_allows_have_the_answers_that_it_names(opened: Api, name: str) -> None:
    assert _asked(opened, _right(opened, name), EXAMPLES)


@pytest.mark.parametrize("name", [name for name, _ in OPERATIONS if name not in FREE])
def test_requests_that_the_document_does_not_allow_have_the_answers_that_it_names(opened: Api, name: str) -> None:
    assert _asked(opened, _wrong(opened, name), EXAMPLES)


@st.composite
def _to_services(draw: st.DrawFn, cases: st.SearchStrategy[Any]) -> Any:
    """A generated request, at a service that there is; half of the calls bring a patient who is known here."""
    case = draw(cases)
    service = draw(st.sampled_from(sorted(HOOKS)))
    case.path_parameters = {"service_id": service}
    if isinstance(case.body, dict) and isinstance(case.body.get("hook"), str):
        known = _known_patient() if draw(st.booleans()) else {}
        case.body = {**case.body, "hook": HOOKS[service], **known}
    return case


def _known_patient() -> dict[str, Any]:
    """The members of a call that every service can answer."""
    who = chart("02-emphysema").patient
    context = {"userId": "Practitioner/1", "patientId": who["id"], **drafts(order(who["id"])), **dispatched(who["id"])}
    return {"context": context, "prefetch": {"patient": who}, "fhirServer": "https://ehr.example/fhir"}


@pytest.mark.parametrize("door", ["opened", "signed"])
@pytest.mark.parametrize("name", [CALLED, ANSWERED])
def test_every_service_answers_requests_right_and_wrong_as_the_document_says(
    request: pytest.FixtureRequest, door: str, name: str
) -> None:
    found: Api = request.getfixturevalue(door)
    right = _asked(found, _to_services(_right(found, name)), OF_HOOKS)
    wrong = _asked(found, _to_services(_wrong(found, name)), OF_HOOKS)
    assert right[200] > 0
    assert wrong[400] > 0
    assert 401 not in right + wrong


@pytest.mark.parametrize("name", ["discovery", CALLED, ANSWERED])
def test_without_a_token_the_signed_door_answers_401_as_the_document_says(signed: Api, name: str) -> None:
    stranger = replace(signed, site=replace(signed.site, signed=False))
    assert _asked(stranger, _right(stranger, name), EXAMPLES).keys() == {401}
