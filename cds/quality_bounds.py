"""What a site expects of its models, pathways and times: the windows of the quality page, and when it alarms."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from cds.destinations import Table

Timed = Literal["report", "acknowledgment"]
Part = Annotated[float, Field(ge=0, le=1)]


class QualityBounds(Table):
    """A bound alarms only where its 95 % interval lies wholly beyond it; shares are 0 to 1.

    The defaults are this project's choice, from no source; a site states its own.
    `ppv`, `sensitivity` and `specificity` are by "<model>.<kind of finding>", else by model: none alarms unstated.
    """

    window_days: Annotated[int, Field(ge=1, le=366)] = 28
    #: How long after its first study a model version is what later studies are compared with.
    reference_days: Annotated[int, Field(ge=1, le=366)] = 90
    #: The reference window begins here where a version is older: after a change that is known and accepted.
    reference_from: date | None = None
    #: The hour of the site's time zone after which the last whole day is computed.
    at_hour: Annotated[int, Field(ge=0, le=23)] = 3
    #: Groups and shares of fewer studies than this are not told apart.
    smallest_cell: Annotated[int, Field(ge=1)] = 10
    #: Distributions of fewer studies, in either window, are not compared.
    enough: Annotated[int, Field(ge=10)] = 50
    psi: Annotated[float, Field(gt=0)] = 0.25
    ks: Part = 0.2
    ppv: dict[str, Part] = Field(default_factory=dict)
    sensitivity: dict[str, Part] = Field(default_factory=dict)
    specificity: dict[str, Part] = Field(default_factory=dict)
    #: Cards overridden, by pathway.
    overridden: dict[str, Part] = Field(default_factory=dict)
    #: The 90th percentile of minutes, by what is timed.
    p90_minutes: dict[Timed, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
