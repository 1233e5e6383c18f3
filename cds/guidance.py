"""The settings of pathways: which speak, to whom, with which options, in which language, and what a site orders by."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from cds.destinations import Orderable, Site, SiteExam
from cds.domain.report import Audience, Mode


class Guidance(BaseModel):
    """The part of the settings that pathways go by; a site's own word comes before that of the installation."""

    pathway_modes: dict[str, Mode] = Field(default_factory=dict)
    #: What a site sets of a pathway, within its bounds, keyed "<pathway>.<option>", e.g. "emphysema.laa_950_percent".
    site_options: dict[str, str] = Field(default_factory=dict)
    #: Who is told what a pathway says, of those whom the release lets see it; unsaid: all of them.
    pathway_audiences: dict[str, frozenset[Audience]] = Field(default_factory=dict)
    #: The language of recommendations and cards (BCP 47); `cds pathways languages` shows those that there are.
    text_language: str = "en"
    #: What the site's EHR orders an action by, by the action's code as `cds pathways show` names it.
    orderables: dict[str, Orderable] = Field(default_factory=dict)
    #: What the site's own imaging codes ask for, by "<system>|<code>": for the checks of an order before it is signed.
    exams: dict[Annotated[str, Field(pattern=r"^\S+\|\S+$")], SiteExam] = Field(default_factory=dict)
    #: How many steps of one study a card shows at once; critical ones are not counted.
    most_steps: Annotated[int, Field(ge=1, le=50)] = 5
    #: Several sites in one installation; what a study belongs to is told by its issuers.
    sites: dict[str, Site] = Field(default_factory=dict)

    def site_of(self, *issuers: str) -> str:
        """The name of the site that has one of these issuers; empty for the installation itself."""
        known = set(filter(None, issuers))
        return next((name for name, site in self.sites.items() if known & set(site.issuers)), "")

    def pathway_mode(self, pathway: str, site: str = "") -> Mode:
        """A pathway that nobody switched runs in shadow; a site's own word comes first."""
        own = self.sites[site].pathway_modes if site in self.sites else {}
        return own.get(pathway, self.pathway_modes.get(pathway, Mode.SHADOW))

    def options_of(self, site: str = "") -> dict[str, str]:
        """What a site set of the pathways, over what the installation did."""
        own = self.sites[site].site_options if site in self.sites else {}
        return {**self.site_options, **own}

    def language_of(self, site: str = "") -> str:
        """The language of a site's recommendations and cards."""
        own = self.sites[site].text_language if site in self.sites else None
        return own or self.text_language

    def hears(self, pathway: str, audience: Audience) -> bool:
        """Whether an audience is told what a pathway says, where the release lets it."""
        wanted = self.pathway_audiences.get(pathway)
        return wanted is None or audience in wanted
