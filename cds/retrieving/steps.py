"""The steps of a retrieval, in their order. Each answers small values that the durable engine keeps as JSON."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cds import metrics
from cds.domain.order import QUEUE_PRIORITY, Priority
from cds.domain.retrieval import RemoteSeries, Retrieval, RetrievalState
from cds.logs import get_logger, study_ref
from cds.retrieving import asking
from cds.retrieving.asking import Asked
from cds.retrieving.parts import Retrieving

log = get_logger(__name__)

#: What a look came to: series are fetched; no PACS knows the study; there is nothing to fetch; a person decides.
FETCH, UNKNOWN, NOTHING, DOUBT = "fetch", "unknown", "nothing", "doubt"
#: How it ends where fetching cannot be finished.
FAILED = "failed"

Found = dict[str, Any]


def queue_priority(retrieval: Retrieval) -> int:
    """Its place in the durable queue, where 1 is first; what nobody ordered is routine."""
    return retrieval.priority or QUEUE_PRIORITY[Priority.ROUTINE]


def first_source(line: Retrieving, retrieval: Retrieval) -> str:
    """The PACS that is asked first: what waits for another one does not hold it up."""
    return next((archive.name for archive in asking.sources(line, retrieval)), "")


def look(line: Retrieving, retrieval_id: str) -> Found:
    """Step 1: ask the PACS, in their order, and state what the first that knows the study has of it."""
    retrieval, now = line.retrievals.retrieval(retrieval_id), line.clock.now()
    line.retrievals.mark(retrieval_id, RetrievalState.RUNNING, now)
    asked = asking.ask(line, retrieval)
    if not asked.studies:
        if asked.doubts:
            return {"next": DOUBT, "reason": "; ".join(asked.doubts)}
        reason = "; ".join(asked.refusals) or asking.nobody_knows(line, retrieval)
        return {"next": UNKNOWN, "reason": reason, "again": bool(retrieval.announced)}
    source, uid = asked.source, _found(line, retrieval, asked)
    if not uid:
        return {"next": NOTHING, "source": source, "reason": "it is fetched already, by its Study Instance UID"}
    line.retrievals.mark(retrieval_id, RetrievalState.RUNNING, now, source=source, study_uid=uid)
    stated = asking.state(line, replace(retrieval, study_instance_uid=uid), source)
    told = [f"{asking.named(s.series)}: {'wanted' if s.wanted else s.reason}, {_count(s.series)}" for s in stated]
    line.retrievals.tell(retrieval_id, f"found in {source}", now, *told)
    series = [one.series.series_instance_uid for one in stated if one.wanted]
    if not series:
        return {"next": NOTHING, "source": source, "reason": "no installed model reads any of its series"}
    return {"next": FETCH, "source": source, "series": series, "priority": queue_priority(retrieval)}


def fetch(line: Retrieving, retrieval_id: str, source: str, series_uid: str) -> Found:
    """Step 2: the instances of a series that are not here yet. What arrived stays where the PACS breaks off."""
    study_uid = line.retrievals.retrieval(retrieval_id).study_instance_uid
    pacs, stated = asking.archive(line, source), line.retrievals.stated(study_uid)
    series = next((one.series for one in stated if one.series.series_instance_uid == series_uid), None)
    missing = asking.missing(line, pacs, series) if series is not None else None
    if series is None or missing is None:
        return {"arrived": 0, "failed": 0}
    with metrics.RETRIEVAL_SECONDS.time(source=source):
        fetched = pacs.fetch(series, missing)
    metrics.RETRIEVED_INSTANCES.inc(fetched.arrived, source=source, outcome="arrived")
    metrics.RETRIEVED_INSTANCES.inc(fetched.failed, source=source, outcome="failed")
    told = f"{fetched.arrived} instances of {asking.named(series)} came from {source}"
    told += f", {fetched.failed} did not" if fetched.failed else ""
    line.retrievals.tell(retrieval_id, told, line.clock.now(), *fetched.reasons)
    return {"arrived": fetched.arrived, "failed": fetched.failed}


def verify(line: Retrieving, retrieval_id: str, source: str) -> Found:
    """Step 3: ask for the counts again. Complete where they are the same as before and everything wanted is here.

    `series` are those to fetch (again), `missing` is how many instances of them are not here, `said` that in words.
    """
    retrieval, now = line.retrievals.retrieval(retrieval_id), line.clock.now()
    study_uid, pacs = retrieval.study_instance_uid, asking.archive(line, source)
    wanted = [one for one in asking.state(line, retrieval, source) if one.wanted]
    absent = {one.series: asking.absent(line, pacs, one.series) for one in wanted}
    open_ = [one.series for one in wanted if absent[one.series] or not one.agreed]
    if open_:
        said = "; ".join(_short(line, series, absent[series]) for series in open_)
        return {"series": [s.series_instance_uid for s in open_], "missing": sum(absent.values()), "said": said}
    count = sum(asking.here(line, one.series) for one in wanted)
    reason = f"{len(wanted)} series, {count} instances: {source} stated the same counts twice, and all of it is here"
    line.retrievals.mark(retrieval_id, RetrievalState.DONE, now, reason=reason, source=source)
    metrics.RETRIEVALS.inc(source=source, outcome="done")
    log.info("study retrieved", study_ref=study_ref(study_uid), count=count)
    return {"series": [], "missing": 0, "said": ""}


def end(line: Retrieving, retrieval_id: str, came_to: str, reason: str) -> None:
    """A retrieval that has nothing to fetch, or cannot: told with the reason, and held where a person is wanted."""
    retrieval, now = line.retrievals.retrieval(retrieval_id), line.clock.now()
    if came_to == NOTHING:
        line.retrievals.mark(retrieval_id, RetrievalState.DONE, now, reason=reason)
    else:
        line.retrievals.fail(retrieval_id, reason, now)
    metrics.RETRIEVALS.inc(source=retrieval.source or "none", outcome=came_to)
    log.info("retrieval ended", outcome=came_to, study_ref=study_ref(retrieval.key))


def bury(line: Retrieving, retrieval_id: str, reason: str) -> None:
    """What the engine gave up waits for a person, if nobody wanted it again meanwhile."""
    if retrieval_id in line.retrievals.unfinished():
        end(line, retrieval_id, FAILED, reason)


def _found(line: Retrieving, retrieval: Retrieval, asked: Asked) -> str:
    """The study that this retrieval fetches; "" where others do. An accession number may have several studies."""
    if retrieval.study_instance_uid:
        return retrieval.study_instance_uid
    mine = ""
    for uid in (study.study_instance_uid for study in asked.studies):
        other = line.retrievals.of_study(uid)
        if not mine and (other is None or other.id == retrieval.id):
            mine = uid
            continue
        line.retrievals.want(
            uid,
            purpose=retrieval.purpose,
            announced=retrieval.announced,
            event=retrieval.id,
            priority=retrieval.priority,
            now=line.clock.now(),
        )
    return mine


def _short(line: Retrieving, series: RemoteSeries, absent: int) -> str:
    if not absent:
        return f"the count of {asking.named(series)} still changes"
    here = asking.here(line, series)
    return f"{here} of {here + absent} instances of {asking.named(series)} are here"


def _count(series: RemoteSeries) -> str:
    return "count not stated" if series.instances is None else f"{series.instances} instances"
