"""What a replay found, as text and JSON: no bytes of what would have been sent, and no patient."""

from __future__ import annotations

import json
from collections.abc import Iterator

from cds.domain.replay import Replayed, StudyReplayed


def as_json(replayed: Replayed) -> str:
    """Everything as JSON; times in UTC."""
    return json.dumps(
        {
            "from": replayed.since.isoformat(),
            "to": replayed.until.isoformat(),
            "advisory": list(replayed.advisory),
            "studies": [_row(study) for study in replayed.studies],
            "totals": {
                "studies": len(replayed.studies),
                "deliveries": {f"{name} {kind.value}": n for (name, kind), n in sorted(replayed.deliveries.items())},
                "cards": replayed.cards,
            },
            "sent": 0,
        },
        indent=2,
        ensure_ascii=False,
    )


def as_text(replayed: Replayed) -> str:
    """Study by study, then the totals."""
    return "\n".join([*(line for study in replayed.studies for line in _study(study)), *_totals(replayed)])


def _row(study: StudyReplayed) -> dict[str, object]:
    return {
        "study": study.study_instance_uid,
        "work": study.work_id,
        "match": study.match,
        "audiences": list(study.audiences),
        "findings": {name: list(audiences) for name, audiences in study.findings},
        "withheld": list(study.withheld),
        "advice": list(study.advice),
        "deliveries": [
            {"destination": d.destination, "kind": d.kind.value, "bytes": d.size, "sha256": d.sha256}
            for d in study.deliveries
        ],
        "cards": list(study.cards),
        "not_sent": list(study.not_sent),
    }


def _study(study: StudyReplayed) -> Iterator[str]:
    yield f"Study {study.study_instance_uid}: {study.match or 'not replayed'}"
    if study.match:
        yield f"  would be seen by: {', '.join(study.audiences) or 'nobody'}"
    for name, audiences in study.findings:
        yield f"  finding {name}: {', '.join(audiences) or 'nobody'}"
    yield from (f"  withheld: {reason}" for reason in study.withheld)
    yield from (f"  advice {said}" for said in study.advice)
    yield from (f"  would send to {d.destination}: {d.kind.value}, {d.size} bytes" for d in study.deliveries)
    yield from (f"  would show a card: {summary}" for summary in study.cards)
    yield from (f"  not sent: {reason}" for reason in study.not_sent)


def _totals(replayed: Replayed) -> Iterator[str]:
    yield f"{len(replayed.studies)} studies; taken as advisory: {', '.join(replayed.advisory) or 'nothing'}"
    for (name, kind), count in sorted(replayed.deliveries.items()):
        yield f"would have been sent to {name}: {count} × {kind.value}"
    yield f"would have been shown: {replayed.cards} cards"
    yield "sent: 0"
