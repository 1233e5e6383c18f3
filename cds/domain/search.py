"""A FHIR search as values (R4 search.html), and what of a resource can be searched. No parameter is known here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: How a parameter is compared (R4 search.html, search parameter types). DATE and NUMBER are half-open ranges.
Kind = Literal["token", "reference", "date", "string", "quantity"]
#: R4 search.html#prefix, for dates and quantities.
Prefix = Literal["eq", "ne", "lt", "gt", "ge", "le", "sa", "eb", "ap"]
#: R4 search.html#modifiers, those that are supported; `missing` is `Criterion.missing`.
Modifier = Literal["", "not", "exact", "contains"]


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One value of a resource under one search parameter.

    token: `system` and `value`. reference: `value` is "Type/id", or of a logical reference the token of its identifier.
    string: `value` as written. date: seconds since 1970 from `low` up to and without `high`. quantity and number: the
    value with its precision from `low` to `high`, `system` and `value` its unit.
    """

    param: str
    kind: Kind
    value: str = ""
    system: str = ""
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """One of the values that a criterion accepts. `system` None: any; "": none. `value` None: any of the system.

    Of dates and quantities the half-open range from `low` to `high`, compared by `prefix`; of a quantity `value` is the
    unit's code, None where any will do.
    """

    value: str | None = None
    system: str | None = None
    prefix: Prefix = "eq"
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True, slots=True)
class Criterion:
    """One parameter of a search: any of `any_of` will do. `missing` asks that there is none (True) or some (False).

    `param` "_id" and "_lastUpdated" are of the resource itself. With `chain` the parameter is a reference, and the
    criterion holds where the resource that it names fulfils `chain` (one step).
    """

    param: str
    kind: Kind
    any_of: tuple[Wanted, ...] = ()
    modifier: Modifier = ""
    missing: bool | None = None
    chain: tuple[str, Criterion] | None = None


@dataclass(frozen=True, slots=True)
class Include:
    """_include and _revinclude: `source` has the reference `param`, to `target` where one is named.

    `source` is the type that is searched, or with `reverse` what comes along. `iterate` follows on.
    """

    source: str
    param: str
    target: str = ""
    reverse: bool = False
    iterate: bool = False


@dataclass(frozen=True, slots=True)
class Sort:
    """One key of _sort: "_lastUpdated", "_id", or a parameter of kind date."""

    param: str = "_lastUpdated"
    descending: bool = False


#: How the number of all matches is told (R4 search.html#total).
Total = Literal["none", "accurate"]


@dataclass(frozen=True, slots=True)
class ResourceQuery:
    """A search of one type: every criterion holds. `after` is the cursor of the page before; `count` 0 counts only.

    `compartment` is a Patient id: only what is that patient's, and the Patient; of Devices, which are nobody's, only
    what comes along is limited.
    """

    type: str
    criteria: tuple[Criterion, ...] = ()
    includes: tuple[Include, ...] = ()
    sort: Sort = Sort()
    count: int = 50
    total: Total = "none"
    after: str | None = None
    compartment: str | None = None
