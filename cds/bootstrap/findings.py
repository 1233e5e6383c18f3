"""What people say of findings: verifications by command, and radiologists' final reports over FHIR."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cds.bootstrap import stores
from cds.domain.coding import Quantity
from cds.domain.finding import Finding, Findings
from cds.domain.verification import FindingRef, Verdict, Verification
from cds.errors import InvalidInput, NotFound
from cds.ports import Clock
from cds.settings import Settings
from cds.store.engine import Database
from cds.store.opinions import OpinionStore, StudyFindings


@dataclass(frozen=True, slots=True)
class Spoken:
    """A verdict as a person gives it: `finding` is `<model>.<key>`, `value` is in the unit of the finding."""

    finding: str
    verdict: Verdict
    by: str
    role: str
    reason: str = ""
    value: float | None = None


def listed(settings: Settings, asked: str) -> StudyFindings:
    """The findings of the one study with this Study Instance UID or accession number."""
    opinions = OpinionStore(stores(settings).database)
    return opinions.findings(opinions.study_named(asked))


def verify(settings: Settings, asked: str, said: Spoken, clock: Clock) -> bool:
    """Record a verdict on a finding of that study; False where the same person said the same before."""
    opinions, now = OpinionStore(stores(settings).database), clock.now()
    study = opinions.findings(opinions.study_named(asked))
    about, finding = _finding(study, said.finding)
    corrected = None
    if said.value is not None:
        if finding.value is None:
            raise InvalidInput("a finding without a value cannot be corrected: confirm or reject it")
        corrected = Quantity(said.value, finding.value.unit)
    return opinions.verify(Verification(about, said.verdict, said.by, said.role, now, said.reason, corrected), now)


def filer(settings: Settings, database: Database, clock: Clock) -> Callable[[Mapping[str, object]], bool]:
    """Files a DiagnosticReport of the RIS as the radiologist's report; False where it says nothing new."""
    from adapters.fhir.final_report import read_final_report, read_whose

    opinions = OpinionStore(database)

    def file(resource: Mapping[str, object]) -> bool:
        now = clock.now()
        report = read_final_report(
            resource, settings.identifier_systems, accession_issuer=settings.accession_issuer, received_at=now
        )
        return opinions.file(report, read_whose(resource, settings.identifier_systems), now)

    return file


def _finding(study: StudyFindings, name: str) -> tuple[FindingRef, Finding]:
    found = {
        f"{outcome.model}.{finding.key}": (outcome, finding)
        for outcome in study.outcomes
        if isinstance(outcome, Findings)
        for finding in outcome.findings
    }
    if name not in found:
        names = ", ".join(sorted(found)) or "it has none"
        raise NotFound(f"want a finding of this study's images as <model>.<finding>: {names}")
    outcome, finding = found[name]
    uid, revision = study.study_instance_uid, study.image_revision
    return FindingRef(uid, revision, outcome.model, outcome.version, finding.key), finding
