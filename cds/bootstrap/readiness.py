"""What `cds check` and `/health/ready` look at that needs a concrete store, model or pathway."""

from __future__ import annotations

import os
from functools import partial

from cds import critical, hooks, ordering, pathways
from cds.bootstrap import Stores, advising, hl7_profile, stores
from cds.bootstrap.dicom_check import destination_check, priority_check, source_check
from cds.bootstrap.fhir_check import fhir_checks
from cds.bootstrap.hl7 import message_log
from cds.bootstrap.hook_check import hook_checks
from cds.bootstrap.installed import broken, damaged, manifests
from cds.bootstrap.ui_check import ui_checks
from cds.checks import Check, free_space, run_checks
from cds.clock import SystemClock
from cds.domain.report import Mode
from cds.errors import ConfigurationError, SightlineError
from cds.pathways.language import languages
from cds.services import Probe
from cds.settings import Settings
from cds.store.heartbeats import alive


def checks(settings: Settings) -> list[Check]:
    """Everything that `cds check` looks at, the database included."""
    return run_checks(
        settings,
        (
            lambda: _database_check(settings),
            lambda: _inbox_check(settings),
            lambda: _folder_check(settings),
            lambda: misspelt(settings),
            lambda: hl7_profile.check(settings),
            lambda: _untold(settings),
            lambda: _models(settings),
            lambda: _orderables(settings),
            *(partial(source_check, settings, name) for name in settings.pacs_sources),
            *(partial(destination_check, settings, name) for name in settings.pacs_destinations),
            *(partial(priority_check, settings, name) for name in settings.priority_destinations),
            *fhir_checks(settings),
            *hook_checks(settings),
            *ui_checks(settings),
        ),
    )


def probes(settings: Settings, held: Stores) -> tuple[Probe, ...]:
    """The database, room on the disk, and the roles that this site expects."""
    room = free_space(settings.data_dir, settings.minimum_free_bytes)
    disk = Probe("disk", room.ok, "" if room.ok else room.detail)
    try:
        living = alive(held.database, SystemClock(settings.time_zone))
    except SightlineError as error:
        return Probe("database", False, str(error)), disk
    silent = [
        Probe(role, role in living, "" if role in living else "not heard lately") for role in settings.expected_roles
    ]
    return Probe("database", True), disk, *silent


def _database_check(settings: Settings) -> Check:
    how = "look at CDS_DATA_DIR, or CDS_DATABASE_URL where it is set"
    if not settings.database_url and not (settings.data_dir / "app.sqlite").exists():
        return Check("database", True, "no tables yet: cds serve creates them")
    try:
        stores(settings).works.pending(limit=1)
    except ConfigurationError as error:
        return Check("database", False, "; ".join(error.mistakes), "run cds db upgrade, or cds serve, which does it")
    except SightlineError as error:
        return Check("database", False, str(error), how)
    return Check("database", True, "tables are at the newest revision")


def _inbox_check(settings: Settings) -> Check:
    """An inbox restored from an older backup than the tables would number new messages as if they were applied."""
    tables = settings.data_dir / "app.sqlite"
    if not settings.database_url and not (tables.exists() and (settings.data_dir / "messages.sqlite").exists()):
        return Check("inbox", True, "no messages yet")
    try:
        newest, applied = message_log(settings).newest_id(), stores(settings).record.applied_up_to()
    except ConfigurationError as error:
        return Check("inbox", False, "; ".join(error.mistakes), "run cds db upgrade, or cds serve, which does it")
    except SightlineError as error:
        return Check("inbox", False, str(error), "look at CDS_DATA_DIR, or CDS_DATABASE_URL where it is set")
    how = "restore messages.sqlite and app.sqlite of one backup together: new messages would not be applied"
    if newest < applied:
        return Check("inbox", False, "the inbox is older than the tables: it was restored from another backup", how)
    waiting, most = newest - applied, settings.hl7_limits.max_inbox_depth
    wake = "see that cds intake runs, and what its log says; hl7_limits.max_inbox_depth is how many may wait"
    return Check("inbox", waiting < most, f"{waiting} messages wait to be applied, senders wait at {most}", wake)


def _folder_check(settings: Settings) -> Check:
    """The drop folder is there, and files can be moved in it."""
    folder = settings.hl7_folder
    if folder is None:
        return Check("HL7 folder", True, "none is set (CDS_HL7_FOLDER)")
    usable = folder.is_dir() and os.access(folder, os.R_OK | os.W_OK | os.X_OK)
    how = "make the folder, for the user that runs Sightline to read and write, or correct CDS_HL7_FOLDER"
    return Check("HL7 folder", usable, f"{folder} {'can be used' if usable else 'is no folder that can be used'}", how)


def misspelt(settings: Settings) -> Check:
    """A misspelt name would leave a model or pathway in shadow, and nobody would know."""
    installed, known = manifests(settings), {**pathways.load(), **ordering.load()}
    wrong = [f"CDS_MODEL_MODES: no model {name!r}" for name in settings.model_modes if name not in installed]
    wrong += [f"CDS_PATHWAY_MODES: no pathway {name!r}" for name in settings.pathway_modes if name not in known]
    wrong += [f"CDS_SITE_OPTIONS: {mistake}" for mistake in ordering.mistakes(settings.site_options)]
    wrong += [f"CDS_PATHWAY_AUDIENCES: no pathway {name!r}" for name in settings.pathway_audiences if name not in known]
    wrong += [
        f"CDS_FATIGUE: roles: {role}: no pathway {name!r}"
        for role, told in settings.fatigue.roles.items()
        for name in sorted(told - known.keys())
    ]
    services = {one.id for one in hooks.services()}
    wrong += [f"CDS_SYSTEM_ACTIONS: no service {name!r}" for name in settings.system_actions if name not in services]
    wrong += [f"CDS_ORDERABLES: no action {name!r}" for name in settings.orderables if name not in advising.actions()]
    wrong += _unknown_language("CDS_TEXT_LANGUAGE", settings.text_language)
    named = {row.finding.partition(".")[0] for row in settings.release_rows if row.finding != "*"}
    wrong += [f"CDS_RELEASE_ROWS: no model {name!r}" for name in sorted(named) if name not in installed]
    wrong += [
        f"CDS_CRITICAL_FINDINGS: no model for {name!r}; want <model>.<finding key>"
        for name in settings.critical_findings
        if name.partition(".")[0] not in installed or not name.partition(".")[2]
    ]
    for site, table in settings.sites.items():
        wrong += [f"CDS_SITES: {site}: no model {name!r}" for name in table.model_modes if name not in installed]
        wrong += [f"CDS_SITES: {site}: no pathway {name!r}" for name in table.pathway_modes if name not in known]
        wrong += [f"CDS_SITES: {site}: {mistake}" for mistake in ordering.mistakes(table.site_options)]
        wrong += _unknown_language(f"CDS_SITES: {site}: text_language", table.text_language or "en")
    have = f"{len(installed)} models and {len(known)} pathways are installed"
    return Check("names", not wrong, "; ".join(wrong) or have, "spell them as cds models list and docs/pathways do")


def _unknown_language(setting: str, language: str) -> list[str]:
    known = languages()
    return [] if language in known else [f"{setting}: no catalogue for {language!r}; want one of {', '.join(known)}"]


def _orderables(settings: Settings) -> Check:
    """What goes out as text because the site has no code for it: that is allowed, and an EHR cannot order by it."""
    without = advising.unmapped(settings)
    speaking = any(mode is Mode.ADVISORY for mode in settings.pathway_modes.values())
    coded = "every step that a pathway may suggest has a code of this site's catalogue"
    have = coded if speaking else "no pathway is advisory: nothing is suggested yet"
    return Check("orderables", True, f"no code, so told as text: {', '.join(without)}" if without else have)


def _models(settings: Settings) -> Check:
    """A damaged model evaluates nothing, and one with a wrong manifest is not there; the others go on."""
    wrong = [f"{name}: {mistake}" for name, mistakes in broken(settings).items() for mistake in mistakes]
    wrong += damaged(settings)
    have = "every file of weights that is installed is the one that its manifest names"
    how = f"install it again, or remove its folder below {settings.models_folder}; cds models verify says more"
    return Check("models", not wrong, "; ".join(wrong) or have, how)


def _untold(settings: Settings) -> Check:
    """Findings that may be critical, of advisory models, and that would alert nobody."""
    where = ("", *settings.sites)
    installed = manifests(settings).values()
    running = [m for m in installed if any(settings.model_mode(m.id, site) is Mode.ADVISORY for site in where)]
    untold = critical.unloaded(settings, [(m.id, output.key, output.code) for m in running for output in m.outputs])
    told = f"{len(settings.critical_findings)} findings are critical at this site; none is by default"
    detail = "; ".join(f"{name} may be critical and alerts nobody" for name in untold) or told
    return Check("critical results", not untold, detail, "name them in CDS_CRITICAL_FINDINGS with their ACR category")
