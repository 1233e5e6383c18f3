"""Who may see which images, and what models said of them: one answer for the viewer and for DICOMweb."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from cds import release
from cds.bootstrap import Stores
from cds.bootstrap.hook_views import Views, again
from cds.domain.identity import Identifier
from cds.domain.imaging import Study
from cds.domain.report import Audience, Report
from cds.errors import NotFound
from cds.settings import Settings
from cds.store.pictures import NOTHING, Pictures
from cds.ui.people import Person, Role
from cds.ui.second_reader import SecondReaderServices, without

#: (who, study) → whether what models say of it is hidden from them now, all but what is critical.
Hidden = Callable[[Person, Study], bool]


def never(_who: Person, _study: Study) -> bool:
    """Nobody reads blind."""
    return False


@dataclass(frozen=True, slots=True)
class Sight:
    """A radiologist sees every study; a clinician those of which something is released to the care team now."""

    settings: Settings
    held: Stores
    pictures: Pictures
    views: Views
    hidden: Hidden = never
    #: Where there are some, they know which models are hidden, and `hidden` is not asked.
    readers: SecondReaderServices | None = None

    def study(self, who: Person, public_id: str) -> Study:
        """A study that somebody may see, by its public id; raise NotFound in the same words whatever the reason."""
        return self._seen(who, self.pictures.study(public_id))

    def by_uid(self, who: Person, uid: str) -> Study:
        """The same by Study Instance UID."""
        return self._seen(who, self.pictures.by_uid(uid))

    def may_see(self, who: Person, study: Study) -> bool:
        """Whether the images of a study are shown to somebody."""
        if self.sees_all(who):
            return True
        if who.patient_id is not None and self.patient(study) != who.patient_id:
            return False
        report = self.held.reports.latest_of_study(study.study_instance_uid)
        return report is not None and self.views.view(report) is not None

    def sees_all(self, who: Person) -> bool:
        """Whether somebody is a radiologist, at work and not in one patient's chart."""
        return who.patient_id is None and who.is_any(Role.RADIOLOGIST)

    def patient(self, study: Study) -> str | None:
        """Our id of who owns the study's patient identifier now."""
        if study.patient is None:
            return None
        return next(iter(self.held.reports.owners([study.patient])), None)

    def identifiers(self, patient_id: str) -> tuple[Identifier, ...]:
        """Every identifier that a patient is known under; () for nobody."""
        try:
            return self.held.record.patient_by_id(patient_id).known_as
        except KeyError:
            return ()

    def report(self, who: Person, study: Study) -> Report | None:
        """What models said of a study, as far as somebody may see it now; None for nothing."""
        report = self.held.reports.latest_of_study(study.study_instance_uid)
        if report is None or report.work.revision.image != study.image_revision:
            return None
        seen = self._view(report, study) if self.sees_all(who) else self.views.view(report)
        return without(seen, self._hidden(who, study, seen)) if seen is not None else None

    def _hidden(self, who: Person, study: Study, report: Report) -> Collection[str]:
        """The models whose reading somebody may not know yet."""
        if self.readers is not None:
            return self.readers.hidden(study.study_instance_uid)
        return {outcome.model for outcome in report.outcomes} if self.hidden(who, study) else ()

    def _view(self, report: Report, study: Study) -> Report | None:
        """As a radiologist may see it; also of a test message, which says so everywhere."""
        said = self.held.opinions.verifications(study.study_instance_uid, report.work.revision.image)
        asked = replace(report, verifications=said)
        switches = self.held.switches
        return release.view(self.settings, switches, asked, Audience.RADIOLOGIST, production=not report.test)

    def _seen(self, who: Person, study: Study) -> Study:
        if not self.may_see(who, study):
            raise NotFound(NOTHING)
        return study


def sight(
    settings: Settings, held: Stores, hidden: Hidden = never, readers: SecondReaderServices | None = None
) -> Sight:
    """The sight over an installation's stores."""
    views = Views(settings, held, again(held))
    return Sight(settings, held, Pictures(held.database, held.studies), views, hidden, readers)
