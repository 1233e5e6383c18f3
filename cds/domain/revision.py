"""The three numbers of SAFETY section 2, and the id of the work that names them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Revision:
    """image: a consumed instance changed; match: order or patient changed; analysis: model version or replay."""

    image: int
    match: int
    analysis: int


@dataclass(frozen=True, slots=True)
class Work:
    """One run of the pipeline over one study in one revision. The same event twice is the same work."""

    source: str
    study_instance_uid: str
    revision: Revision

    @property
    def id(self) -> str:
        """Deterministic, and safe where the UID is not: source, a hash of the study, and the three numbers."""
        study = hashlib.sha256(self.study_instance_uid.encode()).hexdigest()[:24]
        numbers = f"i{self.revision.image}m{self.revision.match}a{self.revision.analysis}"
        return f"{self.source}-{study}-{numbers}"
