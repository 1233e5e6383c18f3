"""The worklists that an urgent finding raises a study at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cds.settings import Settings

if TYPE_CHECKING:
    from adapters.dicom.priority import UpsPriority
    from adapters.hl7.priority import PriorityMessage


def raisers(settings: Settings) -> dict[str, PriorityMessage | UpsPriority]:
    """How each is told, by its name; raise ConfigurationError where a field cannot hold a priority."""
    if not settings.priority_destinations:
        return {}
    from adapters.dicom.priority import UpsPriority
    from adapters.hl7.priority import PriorityMessage

    facility, zone = settings.site_name, settings.time_zone
    return {
        name: UpsPriority(name, to)
        if to.message == "UPS-RS"
        else PriorityMessage(name, to, facility=facility, time_zone=zone)
        for name, to in settings.priority_destinations.items()
    }
