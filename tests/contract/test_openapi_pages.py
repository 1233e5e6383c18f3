"""openapi.yaml and the pages as they are wired: requests that schemathesis makes of somebody who has every role.

No answer is a server error, or has a status or a type that is not documented.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from cds.domain.staff import Role
from tests import ui_doors
from tests.contract import ui_site
from tests.contract.test_openapi_generated import DOCUMENT, METHODS, PATHS, is_of_pages

NAMES = [
    operation["operationId"]
    for item in PATHS.values()
    for method, operation in item.items()
    if method in METHODS and is_of_pages(operation)
]
#: They end the session that all requests are made in.
LAST = {name for name in NAMES if "signOut" in name or "logout" in name.lower()}
EXAMPLES = 3


@dataclass(frozen=True)
class Pages:
    """The document with the pages behind it, and what the browser of somebody sends."""

    schema: Any
    cookies: dict[str, str]
    token: str
    checks: list[Any]

    def ask(self, case: Any) -> int:
        """Send a request as this browser, look at the answer, and tell its status."""
        case.headers = {**(case.headers or {}), "X-CSRFToken": self.token}
        case.cookies = self.cookies
        answer = case.call()
        case.validate_response(answer, checks=self.checks)
        status: int = answer.status_code
        return status


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    import schemathesis
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    with ui_site.serving(tmp_path_factory.mktemp("pages"), second_readers={"m": {"mode": "triage"}}) as site:
        site.user("everybody", *Role)
        browser = site.signed_in("everybody")
        token = ui_doors.token_of(browser)
        schema = schemathesis.openapi.from_path(DOCUMENT)
        schema.app = site.app
        found = [not_a_server_error, checks.status_code_conformance, checks.content_type_conformance]
        yield Pages(schema, ui_doors.cookies_of(browser), token, found)


@pytest.mark.parametrize("name", sorted(set(NAMES) - LAST))
def test_the_pages_answer_as_the_document_says(pages: Pages, name: str) -> None:
    from schemathesis import GenerationMode

    statuses: Counter[int] = Counter()
    for mode in (GenerationMode.POSITIVE,):
        strategy = pages.schema.find_operation_by_id(name).as_strategy(generation_mode=mode)

        @settings(
            max_examples=EXAMPLES, derandomize=True, database=None, deadline=None,
            phases=[Phase.generate], suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(strategy)
        def ask(case: Any) -> None:
            statuses[pages.ask(case)] += 1

        ask()
    assert statuses
    assert 401 not in statuses
