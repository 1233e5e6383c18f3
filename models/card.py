"""A model's card: everything that its manifest says, as Markdown for people. Nothing is added and nothing left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass

from cds.domain.coding import Coding
from models.attributes import ATTRIBUTES
from models.manifest import Manifest, Output, Performance

#: What stands where the developer says nothing about one of the 31 attributes.
NOT_STATED = "not stated by the developer"
_GROUPS = {
    "details": "Details and output",
    "purpose": "Purpose",
    "cautioned-out-of-scope": "Cautioned out-of-scope use",
    "development": "Development",
    "fairness": "Fairness in development",
    "external-validation": "External validation",
    "performance": "Quantitative measures of performance",
    "maintenance": "Ongoing maintenance of validity and fairness",
    "update-schedule": "Update and validation schedule",
}


def markdown(manifest: Manifest) -> str:
    """The whole card, ending in a line break."""
    parts = (
        f"# Model card: {manifest.id} {manifest.version}",
        f"{manifest.title.rstrip('.')}. Task: {manifest.task}. Licence: {manifest.licence}.",
        f"**Intended use.** {manifest.intended_use}",
        f"**Must not be used for**\n\n{_list(manifest.not_for)}",
        "Research software, not a cleared medical device. A model that nobody switched on runs in shadow: its results "
        "reach only the quality page.",
        f"## Outputs\n\n{_outputs(manifest)}",
        f"## Inputs and gates\n\nWhat does not fit is *not evaluated*, with the reason.\n\n{_inputs(manifest)}",
        f"## Thresholds\n\n{_thresholds(manifest)}",
        f"## Measured performance\n\n{_performance(manifest)}",
        f"## Limits told to the reader\n\n{_list(manifest.limits)}",
        f"## How it runs\n\n{_runs(manifest)}",
        f"## Weights\n\n{_weights(manifest)}",
        f"## Sources\n\n{_list(manifest.source)}",
        f"## Source attributes\n\nThe 31 source attributes of 45 CFR 170.315(b)(11)(iv)(B).\n\n{_attributes(manifest)}",
    )
    return "\n\n".join(parts) + "\n"


def facts(manifest: Manifest) -> dict[str, object]:
    """Everything that the manifest says, for JSON; where files lie is not part of it."""
    told = _plain(manifest)
    if not isinstance(told, dict):
        raise TypeError(f"a manifest is a table, not {type(told).__name__}")
    return {name: value for name, value in told.items() if name not in ("folders", "may_execute")}


def _outputs(manifest: Manifest) -> str:
    rows = (
        (f"`{o.key}`", o.code.display, o.unit or "–", _code(o.code), _site(manifest, o), _error(o))
        for o in manifest.outputs
    )
    return _table(("key", "what", "unit", "code", "where", "repeatability"), rows)


def _site(manifest: Manifest, output: Output) -> str:
    site = output.body_site or manifest.body_site
    return site.display or _code(site)


def _error(output: Output) -> str:
    stated = output.repeatability
    if stated is None:
        return "not known: a change is not judged"
    parts = [f"{stated.absolute:g} {output.unit}".strip()] if stated.absolute else []
    parts += [f"{stated.percent:g} %"] if stated.percent else []
    return f"{' or '.join(parts) or '0'}: {stated.source}"


def _inputs(manifest: Manifest) -> str:
    inputs = manifest.inputs
    rows = [
        ("modality", ", ".join(inputs.all_modalities)),
        ("SOP classes", ", ".join(inputs.sop_class_uids)),
        ("body part (0018,0015)", ", ".join(part or "none stated" for part in inputs.body_parts)),
        ("reads", f"{inputs.orientation} volume".strip() if inputs.kind == "volume" else "projections"),
        ("age", _ages(inputs.min_age_years, inputs.max_age_years)),
    ]
    for part in (inputs.ct, inputs.mr, inputs.projection, inputs.words):
        rows += _limits(part)
    return _table(("gate", "accepted"), rows)


def _limits(part: object) -> list[tuple[str, str]]:
    """Each stated member of one of the tables of `[inputs]`, by its name in the manifest."""
    if part is None or isinstance(part, type) or not is_dataclass(part):
        return []
    rows: list[tuple[str, str]] = []
    for one in fields(part):
        value = getattr(part, one.name)
        if is_dataclass(value):
            rows += _limits(value)
        elif isinstance(value, tuple) and value and is_dataclass(value[0]):
            rows += [(one.name, ", ".join(": ".join(row) for row in _limits(part))) for part in value]
        elif value not in (None, ()):
            rows.append((one.name.replace("_", " "), _text(value)))
    return rows


def _ages(low: int | None, high: int | None) -> str:
    if low is None and high is None:
        return "any"
    bounds = [f"from {low}"] if low is not None else []
    bounds += [f"to {high}"] if high is not None else []
    return f"{' '.join(bounds)} completed years"


def _thresholds(manifest: Manifest) -> str:
    if not manifest.thresholds:
        return "None."
    rows = ((f"`{t.name}`", f"{t.value:g}", t.unit, t.chosen) for t in manifest.thresholds)
    return _table(("name", "value", "unit", "how it was chosen"), rows)


def _performance(manifest: Manifest) -> str:
    rows = (
        (one.statement, one.output or "–", _figure(one), str(one.n or "–"), one.dataset) for one in manifest.performance
    )
    return _table(("what", "output", "figure (interval)", "n", "measured on"), rows)


def _figure(one: Performance) -> str:
    if one.value is None:
        return "–"
    between = f" ({one.low:g} to {one.high:g})" if one.low is not None and one.high is not None else ""
    return f"{one.measure} {one.value:g}{between}".strip()


def _runs(manifest: Manifest) -> str:
    runtime = manifest.runtime
    kinds = {
        "code": "a file of code of the project",
        "monai": "no code: a network of MONAI, built from a closed list, and weights",
        "pt2": "no code: a torch.export package",
        "torchscript": "TorchScript, which is executable code",
    }
    lines = [
        f"It is {kinds[runtime.network]}.",
        f"Up to {runtime.max_batch} items share a batch; about {runtime.memory_mb} MiB of memory.",
        "float32 everywhere." if runtime.half == "no" else f"{runtime.half} on a GPU, float32 on the CPU.",
    ]
    if manifest.declared is None:
        return _list(lines)
    return f"{_list(lines)}\n\n{_table(('before and after the network', 'stated'), _limits(manifest.declared))}"


def _weights(manifest: Manifest) -> str:
    if not manifest.weights:
        return "None: nothing is learned."
    rows = ((f"`{w.file}`", w.format, w.licence, w.source, f"`{w.sha256}`") for w in manifest.weights)
    return _table(("file", "format", "licence", "source", "SHA-256"), rows)


def _attributes(manifest: Manifest) -> str:
    stated = manifest.source_attributes
    rows = (
        (str(a.number), _GROUPS.get(a.group, a.group), a.asks, stated.get(a.key, f"*{NOT_STATED}*")) for a in ATTRIBUTES
    )
    return _table(("no.", "group", "attribute", "stated"), rows)


def _code(code: Coding) -> str:
    return f"`{code.code}` ({code.system})"


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {_flat(line)}" for line in lines)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    def lines() -> Iterator[str]:
        for row in (head, tuple("---" for _ in head), *rows):
            yield f"| {' | '.join(_flat(cell).replace('|', chr(92) + '|') for cell in row)} |"

    return "\n".join(lines())


def _flat(text: str) -> str:
    return " ".join(text.split())


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(_text(part) for part in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return (
        f"{value:g}"
        if isinstance(value, float)
        else f"`{value}`"
        if _is_pattern(value)
        else str(value) or "none stated"
    )


def _is_pattern(value: object) -> bool:
    return isinstance(value, str) and any(letter in value for letter in "\\|*[]()")


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    if hasattr(value, "items"):
        return {str(name): _plain(part) for name, part in value.items()}
    return value
