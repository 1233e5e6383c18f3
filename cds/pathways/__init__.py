"""Guidelines as pure functions, one per file: a file decorates its function with `@pathway`, and listing the folder
finds it.

A pathway is given a `Case` and answers Advice, NothingToSay or CouldNotTell. It knows no wire and no clock.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable, Collection
from dataclasses import dataclass
from types import ModuleType

from cds.codes import ValueSet
from cds.domain.recommendation import Case, CouldNotTell, PathwayOutcome, Source
from cds.errors import ConfigurationError, InsufficientData
from cds.logs import get_logger
from cds.pathways._facts import Need, unfit

log = get_logger(__name__)

#: Modules of the folder that are no pathways.
_NOT_PATHWAYS = frozenset({"markdown"})


@dataclass(frozen=True, slots=True)
class Pathway:
    """A guideline: where it comes from, the models whose findings trigger it, what it needs, and the function.

    `asks` is all that it asks of the record: EHRs are asked for nothing else.
    """

    id: str
    title: str
    source: Source
    models: tuple[str, ...]
    function: Callable[[Case], PathwayOutcome]
    needs: tuple[Need, ...] = ()
    asks: tuple[ValueSet, ...] = ()

    def __call__(self, case: Case) -> PathwayOutcome:
        """Evaluate one case, unless nobody may speak of this patient or what it needs is not known."""
        return unfit(self.id, self.title, self.needs, case) or self.function(case)


def pathway(
    *,
    id: str,
    title: str,
    source: Source,
    models: tuple[str, ...],
    needs: tuple[Need, ...] = (),
    asks: tuple[ValueSet, ...] = (),
) -> Callable[[Callable[[Case], PathwayOutcome]], Pathway]:
    """Declare a function as a pathway; `models` are the ids of the models whose findings it reads.

    With `needs` it is asked only where that is known: it could not tell where the age or the sex is not. `asks` are the
    value sets that it looks up in `Case.ehr`: what nobody declares no EHR is asked for.
    """
    return lambda function: Pathway(id, title, source, models, function, needs, asks)


def load(package: ModuleType | None = None) -> dict[str, Pathway]:
    """Every pathway by id; raise ConfigurationError for a file that cannot be imported, or a duplicate id."""
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
        pathways |= found
    if mistakes:
        raise ConfigurationError(mistakes)
    return pathways


def evaluate(case: Case, enabled: Collection[str], package: ModuleType | None = None) -> tuple[PathwayOutcome, ...]:
    """What the enabled pathways say of a case, in the order of their ids; one that fails does not stop the others."""
    pathways = _installed(package)
    return tuple(_evaluate(pathways.get(name), name, case) for name in sorted(enabled))


def asked(names: Collection[str] | None = None, package: ModuleType | None = None) -> tuple[ValueSet, ...]:
    """What the pathways of these names ask of the record, each value set once; of all that are installed by default."""
    installed = _installed(package)
    wanted = sorted(installed) if names is None else sorted(set(names) & installed.keys())
    return tuple(dict.fromkeys(value_set for name in wanted for value_set in installed[name].asks))


@functools.cache
def _installed(package: ModuleType | None) -> dict[str, Pathway]:
    return load(package)


def _evaluate(installed: Pathway | None, name: str, case: Case) -> PathwayOutcome:
    if installed is None:
        return CouldNotTell(name, name, "this installation has no such pathway")
    try:
        return installed(case)
    except InsufficientData as error:
        return CouldNotTell(name, installed.title, "a value that it needs is missing", (str(error),))
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
