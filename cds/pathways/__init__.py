"""Guidelines as pure functions, one per file: a file decorates its function with `@pathway`, and listing the folder
finds it.

A pathway is given a `Case` and answers Advice, NothingToSay or CouldNotTell. It knows no wire and no clock. What it
declares of itself is in `declaration`; `_reasoning` is how it answers; `merging` makes one answer of several.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
import re
from collections.abc import Callable, Collection, Mapping
from datetime import date
from types import ModuleType
from typing import TypedDict, Unpack

from cds.codes import ValueSet
from cds.domain.coding import Coding
from cds.domain.finding import NO_SERIES, Findings
from cds.domain.recommendation import Case, CouldNotTell, PathwayOutcome, Source
from cds.errors import ConfigurationError, InsufficientData, InvalidInput
from cds.logs import get_logger
from cds.pathways._facts import Need, nobody_barred
from cds.pathways._guards import PALLIATIVE
from cds.pathways.declaration import Option, Pathway, Rule, refusal

log = get_logger(__name__)

_ID = re.compile(r"[a-z][a-z0-9_]*")
#: Modules of the folder that are no pathways.
_NOT_PATHWAYS = frozenset({"card", "declaration", "language", "markdown", "merging"})


class Declared(TypedDict, total=False):
    """What a pathway may declare beside its id, title and source; see `declaration.Pathway` for what each means."""

    version: str
    reviewed: date
    reads: tuple[Coding, ...]
    refused_by: tuple[str, ...]
    needs: tuple[Need, ...]
    asks: tuple[ValueSet, ...]
    rules: tuple[Rule, ...]
    options: tuple[Option, ...]
    signs: tuple[Coding, ...]
    scores: tuple[str, ...]
    further: tuple[Source, ...]
    limits: tuple[str, ...]
    urgent: bool
    languages: tuple[str, ...]


def pathway(
    *, id: str, title: str, source: Source, **declared: Unpack[Declared]
) -> Callable[[Callable[[Case], PathwayOutcome]], Pathway]:
    """Declare a function as a pathway."""
    asks = declared.get("asks", ())
    if asks and not declared.get("urgent"):
        declared["asks"] = tuple(dict.fromkeys((*asks, PALLIATIVE)))
    return lambda function: Pathway(id=id, title=title, source=source, function=function, **declared)


def load(package: ModuleType | None = None, *, unverified: bool = False) -> dict[str, Pathway]:
    """Every pathway by id; raise ConfigurationError for a file that cannot be imported, or a duplicate id.

    One that has a rule whose source was not verified is among them only with `unverified`: for tests.
    """
    folder = package or importlib.import_module(__name__)
    pathways: dict[str, Pathway] = {}
    mistakes: list[str] = []
    for module in pkgutil.iter_modules(folder.__path__):
        if module.name.startswith("_") or module.name in _NOT_PATHWAYS:
            continue
        try:
            found = _declared(f"{folder.__name__}.{module.name}")
        except ConfigurationError as error:
            mistakes += error.mistakes
            continue
        taken = pathways.keys() & found.keys()
        mistakes += [f"{folder.__name__}.{module.name}: pathway id {name!r} is already taken" for name in sorted(taken)]
        odd = sorted(name for name in found if not _ID.fullmatch(name))
        mistakes += [f"{folder.__name__}.{module.name}: want an id of a-z, 0-9 and _, got {name!r}" for name in odd]
        pathways |= found
    if mistakes:
        raise ConfigurationError(mistakes)
    return {name: one for name, one in pathways.items() if unverified or not one.unverified}


def evaluate(case: Case, enabled: Collection[str], package: ModuleType | None = None) -> tuple[PathwayOutcome, ...]:
    """What the enabled pathways say of a case, in the order of their ids; one that fails does not stop the others.

    Whoever shows it merges it (`merging.merged`) once it is known what may be shown: what is withheld may not hide what
    asks for the same.
    """
    pathways, there, fit = _installed(package), _looked_for(case), nobody_barred(case)
    return tuple([_evaluate(pathways.get(name), name, case, there, fit=fit) for name in sorted(enabled)])


def wrong_options(options: Mapping[str, str], package: ModuleType | None = None) -> list[str]:
    """What is wrong with the options that a site set for the pathways of a folder; other names are left alone."""
    return [mistake for one in _installed(package).values() for mistake in one.mistakes(options)]


def asked(names: Collection[str] | None = None, package: ModuleType | None = None) -> tuple[ValueSet, ...]:
    """What the pathways of these names ask of the record, each value set once; of all that are installed by default."""
    installed = _installed(package)
    wanted = sorted(installed) if names is None else sorted(set(names) & installed.keys())
    return tuple(dict.fromkeys(value_set for name in wanted for value_set in installed[name].asks))


@functools.cache
def _installed(package: ModuleType | None) -> dict[str, Pathway]:
    return load(package)


def _looked_for(case: Case) -> frozenset[tuple[str, str]]:
    """The codes of all that was looked for on the images, and the models that refused them."""
    found: set[tuple[str, str]] = set()
    for outcome in case.outcomes:
        if isinstance(outcome, Findings):
            found.update([(finding.code.system, finding.code.code) for finding in outcome.findings])
        elif outcome.gate != NO_SERIES:
            found.add(refusal(outcome.model))
    return frozenset(found)


def _evaluate(
    installed: Pathway | None, name: str, case: Case, there: frozenset[tuple[str, str]], *, fit: bool
) -> PathwayOutcome:
    if installed is None:
        return CouldNotTell(name, name, "this installation has no such pathway")
    if installed.is_idle(there):
        return installed.idle
    try:
        return installed(case, fit=fit)
    except InsufficientData as error:
        return CouldNotTell(name, installed.title, "a value that it needs is missing", (str(error),))
    except InvalidInput as error:
        return CouldNotTell(name, installed.title, str(error))
    except Exception as error:  # noqa: BLE001 - SAFETY section 6: one pathway that fails, the others answer
        log.error("a pathway failed", pathway=name, error=type(error).__name__)
        return CouldNotTell(name, installed.title, "it failed; this was reported to the administrator", failed=True)


def _declared(name: str) -> dict[str, Pathway]:
    try:
        module = importlib.import_module(name)
    except (ImportError, SyntaxError, NameError, TypeError, ValueError) as error:
        raise ConfigurationError([f"{name} cannot be imported: {type(error).__name__}: {error}"]) from error
    found = {item.id: item for item in vars(module).values() if isinstance(item, Pathway)}
    if not found:
        raise ConfigurationError([f"{name} declares no pathway"])
    return found


__all__ = ["Need", "Option", "Pathway", "Rule", "asked", "evaluate", "load", "pathway", "wrong_options"]
