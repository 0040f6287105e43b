"""The ledger of a clip download: wanted clips, remaining work, and the dated history of every attempt."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from phonolake.audio import samples
from phonolake.audio.decode import probe
from phonolake.errors import AudioError
from phonolake.files import replacing
from phonolake.lineage import digest
from phonolake.store import catalog, schema
from phonolake.store.attempts import attempts
from phonolake.store.lake import Change, Lake, Reads
from phonolake.store.outcomes import Outcome, finish, versions
from phonolake.store.rewrite import without
from phonolake.store.shards import keep_rows
from phonolake.transfer import states


@dataclass(frozen=True, slots=True)
class WantedClip:
    """A wanted part of a video; `path` is its file, whether or not it is there."""

    track_id: str
    ytid: str
    start: float
    end: float
    labels: tuple[str, ...]
    path: Path


@dataclass(frozen=True, slots=True)
class Result:
    """The result of an attempt; `path` names the file that it wrote, and `seen_at` is ISO 8601 in UTC."""

    track_id: str
    state: str
    detail: str
    seen_at: str
    seconds: float | None = None
    peak_dbfs: float | None = None
    sha256: str | None = None
    other_id: str | None = None
    path: str | None = None


@dataclass(slots=True)
class FetchPlan:
    """Clips to fetch, clips whose file exists although the ledger does not know it, and how many need nothing."""

    todo: list[WantedClip] = field(default_factory=list)
    lying_there: list[WantedClip] = field(default_factory=list)
    known: int = 0
    forgotten: int = 0


def plan(lake: str, dataset: str, clips: Sequence[WantedClip], *, retry: bool) -> FetchPlan:
    """Sort the clips by remaining work; nothing is written."""
    state, gone = _known(lake, dataset)
    found = FetchPlan()
    for clip in clips:
        before = state.get(clip.track_id)
        if clip.track_id in gone:
            found.forgotten += 1
        elif before is None and clip.path.is_file():
            found.lying_there.append(clip)
        elif before is None or (retry and before in states.HEALS):
            found.todo.append(clip)
        else:
            found.known += 1
    return found


def _known(lake: str, dataset: str) -> tuple[dict[str, str], set[str]]:
    """Newest state of every tried clip, and the forgotten ids."""
    found = Lake.find(lake)
    if found is None:
        return {}, set()
    with catalog.connect(found) as connection:
        rows = connection.execute(
            "SELECT track_id, state FROM availability_now WHERE dataset = $1 AND tries > 0", [dataset]
        ).fetchall()
        gone = connection.execute("SELECT track_id FROM forgotten").fetchall()
    return dict(rows), {track_id for (track_id,) in gone}


def want(lake: Lake, dataset: str, clips: Sequence[WantedClip], available: dict[str, int]) -> None:
    """Enter clips that are not in the ledger yet; known ones gain the labels for which they are wanted now."""
    for attempt in attempts(lake):
        with attempt as seen:
            changes = _wanted(seen, dataset, clips, available)
            if changes:
                lake.commit(changes, Reads(versions(seen, "wanted", "wanted_labels")))
            return


def _wanted(lake: Lake, dataset: str, clips: Sequence[WantedClip], available: dict[str, int]) -> dict[str, Change]:
    wanted, counts = schema.table("wanted"), schema.table("wanted_labels")
    with catalog.connect(lake) as connection:
        rows = connection.execute("SELECT track_id, labels FROM wanted WHERE dataset = $1", [dataset]).fetchall()
        known_counts = connection.execute("SELECT dataset, label, available FROM wanted_labels").fetchall()
        gone = {track_id for (track_id,) in connection.execute("SELECT track_id FROM forgotten").fetchall()}
    known = {track_id: set(labels) for track_id, labels in rows}
    new, changed = [], set()
    for clip in clips:
        before = known.get(clip.track_id)
        if clip.track_id in gone or (before is not None and before >= set(clip.labels)):
            continue
        if before is not None:
            changed.add(clip.track_id)
        place = {"ytid": clip.ytid, "start_seconds": clip.start, "end_seconds": clip.end}
        labels = sorted(set(clip.labels) | (before or set()))
        new.append({"track_id": clip.track_id, "dataset": dataset, **place, "labels": labels})
    changes: dict[str, Change] = {}
    if new:
        changes["wanted"] = without(lake, wanted, changed)
        stem = f"{dataset}-{digest([r['track_id'] for r in new] + [r['labels'] for r in new])}"
        changes["wanted"].add.append(keep_rows(lake.path("wanted", stem), wanted.arrow, new))
    merged = {(d, label): n for d, label, n in known_counts} | {(dataset, label): n for label, n in available.items()}
    listed = [{"dataset": d, "label": label, "available": n} for (d, label), n in sorted(merged.items())]
    if merged != {(d, label): n for d, label, n in known_counts}:
        shard = keep_rows(lake.path("wanted_labels", f"labels-{digest(listed)}"), counts.arrow, listed)
        old = [f for f in lake.shards("wanted_labels") if f != shard.file]
        changes["wanted_labels"] = Change(counts, [shard], old)
    return changes


def adopt(clip: WantedClip) -> Result:
    """The content of a file that was downloaded by other means."""
    seen = datetime.fromtimestamp(clip.path.stat().st_mtime).astimezone().isoformat()
    data = clip.path.read_bytes()
    try:
        facts = probe(data, extension=clip.path.suffix[1:])
        sha256 = samples.digest(data)
    except AudioError as error:
        return Result(clip.track_id, states.DECODE, f"{clip.path.name}: {error}", seen)
    detail = f"{clip.path.name} lay there: {facts.duration:.2f} s"
    return Result(clip.track_id, states.FETCHED, detail, seen, facts.duration, facts.peak_dbfs, sha256)


def note(journal: Path, result: Result) -> None:
    """Write down a result where the next driver finds it after a kill."""
    # An id may begin with a dash or a dot, and hidden names are for unfinished files.
    with replacing(journal / f"clip-{quote(result.track_id, safe='')}.json") as temporary:
        temporary.write_text(json.dumps(asdict(result)), encoding="utf-8")


def take_in(lake: Lake, config: Any, journal: Path, clips: Sequence[WantedClip]) -> list[Result]:
    """Move the workers' results into the table `availability`; returns them with duplicates marked."""
    files = sorted(journal.glob("clip-*.json"))
    if not files:
        return []
    results = [Result(**json.loads(path.read_text(encoding="utf-8"))) for path in files]
    new: list[Result] = []
    for attempt in attempts(lake):
        with attempt as seen:
            new = _enter(lake, seen, config, results)
            break
    for path in files:
        path.unlink(missing_ok=True)
    return new


def _enter(published: Lake, lake: Lake, config: Any, results: list[Result]) -> list[Result]:
    """Commit results that the ledger does not have yet, except those of forgotten clips."""
    table = schema.table("availability")
    with catalog.connect(lake) as connection:
        rows = connection.execute(
            "SELECT track_id, seen_at::VARCHAR FROM availability WHERE dataset = $1", [config.dataset]
        ).fetchall()
        holders = dict(
            connection.execute(
                "SELECT sha256, min(track_id) FROM availability WHERE state = 'fetched' AND sha256 IS NOT NULL "
                "GROUP BY sha256"
            ).fetchall()
        )
        gone = {track_id for (track_id,) in connection.execute("SELECT track_id FROM forgotten").fetchall()}
    committed = {(track_id, datetime.fromisoformat(seen)) for track_id, seen in rows}
    # An interrupted commit may be in the table already.
    new = [r for r in results if (r.track_id, datetime.fromisoformat(r.seen_at)) not in committed]
    new = [r for r in new if r.track_id not in gone]
    new = [_judged(result, holders) for result in new]
    if new:
        listed = [
            {k: v for k, v in asdict(r).items() if k != "path"}
            | {"dataset": config.dataset, "seen_at": datetime.fromisoformat(r.seen_at)}
            for r in new
        ]
        stem = f"{config.dataset}-{digest([asdict(r) for r in new])}"
        shard = keep_rows(lake.path("availability", stem), table.arrow, listed)
        published.commit({"availability": Change(table, [shard])}, Reads(versions(lake, "availability")))
    return new


def _judged(result: Result, holders: dict[str, str]) -> Result:
    """A fetched clip with the samples of another one is a duplicate, and its file is deleted."""
    if result.state != states.FETCHED or result.sha256 is None:
        return result
    other = holders.setdefault(result.sha256, result.track_id)
    if other == result.track_id:
        return result
    if result.path is not None:
        Path(result.path).unlink(missing_ok=True)
    return replace(result, state=states.DUPLICATE, other_id=other, detail=f"the same samples: {result.detail}")


def close(lake: Lake, config: Any, taken: list[Result], started: datetime, note: str) -> Outcome:
    """The outcome of a download, with its row of `runs` where anything was done."""
    newest = {r.track_id: r.state for r in taken}
    fetched = sum(state == states.FETCHED for state in newest.values())
    if not newest:
        return Outcome("download", None, 0, 0, 0, f"nothing to fetch: {note}")
    run_id = f"download-{digest(sorted((r.track_id, r.seen_at) for r in taken))}"
    outcome = Outcome("download", run_id, len(newest), fetched, len(newest) - fetched, note)
    lake.commit({"runs": finish(lake, config, [outcome], started)})
    return outcome
