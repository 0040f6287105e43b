"""Prune: remove tracks whose files no longer exist. Unlike forgotten ones, they come back when their files do.

Raters' answers about them stay, and so do published splits and the ledger of clips.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from phonolake.lineage import digest
from phonolake.stages import forget
from phonolake.stages.ingest_plan import IngestPlan
from phonolake.store import jobs
from phonolake.store.attempts import attempts
from phonolake.store.lake import Lake
from phonolake.store.outcomes import Outcome, finish

KEPT = {
    "annotations",
    "comparisons",
    "samples",
    "triplets",
    "official_splits",
    "wanted",
    "availability",
    forget.TOMBSTONES,
}


@dataclass(frozen=True, slots=True)
class _Said:
    """What the table of runs keeps: how many, and from where."""

    lake: str
    root: str
    n_tracks: int


def take_down(config: Any, plan: IngestPlan, started: datetime) -> str:
    """Remove the missing tracks of a plan, and the indexes that contain them; returns a note for the outcome.

    Parameters
    ----------
    config : ingest.Config
    plan : Plan
        Its list of what is gone is emptied.
    """
    if not plan.gone:
        return ""
    lake, ids = Lake.open(config.lake), sorted(plan.gone)
    said = _Said(config.lake, config.root, len(ids))
    with jobs.working(lake.place, "prune"):
        for attempt in attempts(lake):
            with attempt as seen:
                tables = [t for t in seen.versions() if t not in KEPT and "track_id" in seen.published_schema(t).names]
                without = forget.changes_without(seen, tables, ids)
                changes = {name: change for name, change in without.items() if change.remove}
                outcome = Outcome("prune", f"prune-{digest([ids, seen.versions()])}", len(ids), len(ids), 0)
                lake.commit(changes | {"runs": finish(seen, said, [outcome], started)})
                break
        for _ in forget.purge_indexes(lake, ids):
            pass
    plan.gone = []
    return f"; {len(ids)} taken down, whose files are no longer there"
