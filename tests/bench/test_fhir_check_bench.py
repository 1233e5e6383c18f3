"""Our check of a report in FHIR against reading the same with fhir.resources, in the same run."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from statistics import median

import pytest
from fhir.resources.R4B import get_fhir_model_class

from adapters.fhir.invariants import check
from cds.domain.verification import Verdict
from tests.unit.fhir_samples import DENSITY, HEAD, REFUSAL, emitted, report
from tests.unit.opinions import verified

pytestmark = pytest.mark.bench


def seconds(work: Callable[[], object]) -> float:
    """The median of five rounds of twenty."""
    rounds = []
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(20):
            work()
        rounds.append((time.perf_counter() - began) / 20)
    return median(rounds)


def test_it_costs_less_than_a_third_of_what_the_models_cost() -> None:
    said = verified(report(DENSITY, HEAD, REFUSAL), Verdict.CONFIRMED)
    bodies = [resource.body for resource in emitted(said)]
    models = [get_fhir_model_class(str(body["resourceType"])) for body in bodies]

    def ours() -> None:
        for body in bodies:
            check(body)

    def theirs() -> None:
        for model, body in zip(models, bodies, strict=True):
            json.loads(model.model_validate(body).model_dump_json())

    mine, peer = seconds(ours), seconds(theirs)
    print(f"{len(bodies)} resources: check {mine * 1000:.2f} ms, fhir.resources {peer * 1000:.2f} ms")
    assert mine < peer / 3
