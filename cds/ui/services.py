"""What the pages are given: ports and callables, nothing concrete."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cds.ports import AuditLog, Clock
from cds.settings import Settings
from cds.ui.chart import ChartServices
from cds.ui.people import PeopleServices

if TYPE_CHECKING:
    from cds.ui.follow_ups import FollowUpServices
    from cds.ui.images import ImageServices
    from cds.ui.operations import OperationsServices
    from cds.ui.quality import QualityServices
    from cds.ui.second_reader import SecondReaderServices
    from cds.ui.study import StudyServices
    from cds.ui.users import UserServices
    from cds.ui.worklist import WorklistServices


@dataclass(frozen=True, slots=True)
class UiServices:
    """Everything that a page may use. `bootstrap` fills it; a page whose services are None has no routes."""

    settings: Settings
    clock: Clock
    people: PeopleServices
    audit: AuditLog
    #: 32 random bytes that all processes of an installation share: they sign the cookie of forms and messages.
    form_key: Callable[[], bytes]
    #: The public id of a study → our id of its patient now; raises NotFound.
    whose: Callable[[str], str]
    #: Whether the database answers: without it nobody can sign in.
    is_ready: Callable[[], bool]
    #: What is alarming now, a line each; empty where all is well.
    banner: Callable[[], tuple[str, ...]] = tuple
    #: The studies of a launched session's patient; None where no EHR is configured that can launch.
    chart: ChartServices | None = None
    worklist: WorklistServices | None = None
    study: StudyServices | None = None
    images: ImageServices | None = None
    second_reader: SecondReaderServices | None = None
    follow_ups: FollowUpServices | None = None
    quality: QualityServices | None = None
    operations: OperationsServices | None = None
    users: UserServices | None = None
