"""The settings of second reading: which model reads beside a person at which site, and what the person is asked."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field, model_validator

from cds.destinations import Table
from cds.domain.second_reading import SIDES, ReadingMode, Scale

#: BI-RADS categories that can be given to a screening exam; 6 (known malignancy) is for no screened person.
Category = Annotated[int, Field(ge=0, le=5)]


class SecondReader(Table):
    """One model in screening. `sites` are the modes of single sites over `mode`."""

    mode: ReadingMode = ReadingMode.SECOND_READER
    sites: dict[str, ReadingMode] = Field(default_factory=dict)
    scale: Scale = Scale.BI_RADS
    #: What is read apart: sides, kinds of findings, or "study".
    parts: tuple[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], ...] = SIDES
    #: Kinds of the model's findings that ask for a recall; empty: all.
    findings: tuple[str, ...] = ()
    #: Categories that are a recall: the positive screening exam of the ACR's audit, doi:10.2214/AJR.08.2051, table 1.
    recalled: tuple[Category, ...] = (0, 4, 5)
    #: Studies that are read so, before the model has answered.
    modalities: tuple[str, ...] = ("MG",)

    @model_validator(mode="after")
    def _can_be_read(self) -> SecondReader:
        if not self.parts or len(set(self.parts)) < len(self.parts):
            raise ValueError("parts: want at least one, each once")
        if self.scale is Scale.BI_RADS and not self.recalled:
            raise ValueError("recalled: want the BI-RADS categories that are a recall at this site")
        return self

    def mode_at(self, site: str) -> ReadingMode:
        """The mode at a site; its own word comes first."""
        return self.sites.get(site, self.mode)


class SecondReaders(BaseModel):
    """The part of the settings that second reading goes by."""

    #: Models that read beside a person in screening, by their id.
    second_readers: dict[str, SecondReader] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _sites_are_there(self) -> SecondReaders:
        """A site that is misspelt would show what is to be hidden there."""
        there = set(getattr(self, "sites", ()))
        mistakes = [
            f"CDS_SECOND_READERS: {model} names {site}, which is no site of CDS_SITES"
            for model, rules in self.second_readers.items()
            for site in sorted(rules.sites.keys() - there)
        ]
        if mistakes:
            raise ValueError("\n".join(mistakes))
        return self

    def reading_mode(self, model: str, site: str = "") -> ReadingMode:
        """How a site uses a model in screening; OFF where it is not named."""
        named = self.second_readers.get(model)
        return named.mode_at(site) if named else ReadingMode.OFF
