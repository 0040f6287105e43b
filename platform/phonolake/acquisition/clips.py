"""Clips of videos: only the wanted seconds of each, several in parallel, with a ledger of the state of each.

A finished clip is a file that was renamed into place; its state is written beside it at once, and the driver moves
states into the lake's table `availability` now and then. So after a kill nothing is requested again.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from phonolake import execution, progress
from phonolake.acquisition import ledger
from phonolake.acquisition.download import PRIVATE
from phonolake.acquisition.ledger import Result, WantedClip
from phonolake.audio import cut
from phonolake.errors import AudioError, PhonolakeError, UsageError
from phonolake.files import here, replacing
from phonolake.records import Recording, Seconds
from phonolake.sources import contract
from phonolake.sources.options import parse
from phonolake.store.lake import Lake
from phonolake.store.outcomes import Outcome, now
from phonolake.transfer import http, states, video
from phonolake.transfer.http import Patience
from phonolake.transfer.pace import Pace

TEMPLATE = "https://www.youtube.com/watch?v={ytid}"
COMMIT_SECONDS = 60.0
# Rough time of a core for a clip; most of the time it waits.
SECONDS_PER_CLIP = 0.5
# After this many clips in a row without any answer: there is no network.
GIVE_UP = 3
PATIENCE = Patience(tries=3, longest_wait=60.0, timeout=30.0)


@dataclass(frozen=True, slots=True)
class Config:
    """Which clips to fetch, and how fast.

    Parameters
    ----------
    lake, root : str
        The lake that keeps the ledger, and the dataset's folder: clips go to ``ROOT/audio/YTID_START.flac``.
    dataset : str
        First half of the track ids.
    retry : bool
        Also retry clips whose fault may be temporary (`transfer.states.HEALS`).
    url_template : str
        Address of a video; ``{ytid}`` stands for its id.
    per_second : float
        Videos asked for in one second, over all workers.
    at_once : int
        Clips that are fetched in parallel.
    min_seconds, silence_dbfs : float
        A clip that is shorter is ``too-short``; one whose loudest sample lies below is ``silent``.
    """

    lake: str
    root: str
    dataset: str = "audioset"
    retry: bool = False
    url_template: str = TEMPLATE
    per_second: float = 1.0
    at_once: int = 4
    min_seconds: float = 0.5
    silence_dbfs: float = -70.0
    patience: Patience = PATIENCE

    def __post_init__(self) -> None:
        if "{ytid}" not in self.url_template:
            raise UsageError(f"the template {self.url_template!r} must hold {{ytid}}, where the id of the video goes")
        if self.per_second <= 0 or self.at_once < 1:
            raise UsageError("a download needs a rate above 0 and at least one clip at once")


@dataclass(frozen=True, slots=True)
class Task:
    """One clip to fetch."""

    config: Config
    clip: WantedClip


def wanted(config: Config, chosen: Sequence[str] = ()) -> tuple[list[WantedClip], dict[str, int]]:
    """The clips that a dataset names, and their number for each label before the draw.

    Parameters
    ----------
    chosen : sequence of str
        Options of the dataset, as ``key=value``.

    Raises
    ------
    UsageError
        For a dataset without clips of videos, one whose tables are not under the root, or an unknown option.
    """
    source: Any = contract.get(config.dataset)
    if not hasattr(source, "available"):
        raise UsageError(f"{config.dataset} names no clips of videos: leave --clips out to download its files")
    root = here(config.root)
    if not root.is_dir():
        raise UsageError(
            f"{config.root} is no folder: `phonolake download {config.dataset} {config.root}` brings the tables"
        )
    options = parse(config.dataset, source.Options, chosen)
    return clips_of(list(source.recordings(root.resolve(), options)), config), source.available(root, options)


def clips_of(recordings: Sequence[Recording], config: Config) -> list[WantedClip]:
    """The clips of recordings that have ``start_seconds`` and ``end_seconds`` among their attributes."""
    clips = []
    for recording in recordings:
        where = dict(recording.attributes)
        start, end = float(where["start_seconds"]), float(where["end_seconds"])
        # The source also knows files under other names, which others downloaded.
        own = _target(config, recording.source_id, start)
        path = recording.path if recording.path.is_file() else own
        track_id = f"{config.dataset}:{recording.source_id}"
        clips.append(WantedClip(track_id, recording.source_id, start, end, recording.labels, path))
    return clips


def plan(config: Config, clips: Sequence[WantedClip]) -> ledger.FetchPlan:
    """What would be fetched, without fetching it."""
    return ledger.plan(config.lake, config.dataset, clips, retry=config.retry)


def run(config: Config, clips: Sequence[WantedClip], available: dict[str, int]) -> Outcome:
    """Fetch the clips that were not tried yet; with `config.retry` also those whose fault may be temporary.

    Parameters
    ----------
    clips : sequence of Clip
    available : dict
        Number of clips that the dataset names for each requested label.

    Returns
    -------
    Outcome
        Inputs are the clips that were tried or found in the tree, outputs those that were obtained.

    Raises
    ------
    PhonolakeError
        When several clips in a row get no answer: the rest stays wanted.
    """
    started = now()
    lake = Lake.create(config.lake)
    journal = here(config.root) / PRIVATE / "outcomes"
    journal.mkdir(parents=True, exist_ok=True)
    ledger.want(lake, config.dataset, clips, available)
    # Results of a killed run come first, so that none of them is requested again.
    taken = ledger.take_in(lake, config, journal, clips)
    found = ledger.plan(config.lake, config.dataset, clips, retry=config.retry)
    for clip in found.lying_there:
        ledger.note(journal, ledger.adopt(clip))
    taken += ledger.take_in(lake, config, journal, clips)
    cores = execution.cores()
    share = cores / config.at_once if config.at_once >= cores else 1
    committed = time.monotonic()
    unreached: list[Result] = []
    with progress.task("download clips", len(found.todo)) as advance:
        tasks = [Task(config, clip) for clip in found.todo]
        seconds = len(tasks) * SECONDS_PER_CLIP
        for _, result in execution.imap(fetch_one, tasks, cpus=share, seconds=seconds, on_tick=advance):
            unreached = [*unreached, result] if states.is_unreached(result.state, result.detail) else []
            if len(unreached) >= min(GIVE_UP, len(tasks)):
                break
            if time.monotonic() - committed > COMMIT_SECONDS:
                taken += ledger.take_in(lake, config, journal, clips)
                committed = time.monotonic()
    taken += ledger.take_in(lake, config, journal, clips)
    if len(unreached) >= min(GIVE_UP, max(1, len(found.todo))):
        raise PhonolakeError(
            f"no video can be reached ({unreached[-1].detail}): is there a network? What was not fetched is still "
            "wanted, and the same command goes on"
        )
    note = f"{found.known} known before" + (f", {found.forgotten} forgotten" if found.forgotten else "")
    return ledger.close(lake, config, taken, started, note)


# -- one clip, on a worker ---------------------------------------------------------------------------------------------


def fetch_one(task: Task) -> Result:
    """Try to obtain a clip, and write down the result; without any answer there is none."""
    private = here(task.config.root) / PRIVATE
    pace = Pace(private / "pace", task.config.per_second)
    patience = task.config.patience
    for attempt in range(1, patience.tries + 1):
        pace.wait()
        try:
            result = _attempt(task)
        except video.UnavailableError as error:
            result = Result(task.clip.track_id, error.state, error.detail, now().isoformat())
            if error.asked is not None:
                # The limit is for all workers.
                pace.hold(patience.wait(attempt, error.asked))
            elif error.state == states.NETWORK and attempt < patience.tries:
                time.sleep(patience.wait(attempt, None))
            else:
                break
        else:
            break
    if not states.is_unreached(result.state, result.detail):
        ledger.note(private / "outcomes", result)
    execution.tick()
    return result


def _attempt(task: Task) -> Result:
    clip, config = task.clip, task.config
    url = config.url_template.replace("{ytid}", quote(clip.ytid, safe=""))
    stream = video.locate(url, timeout=config.patience.timeout)
    try:
        found = _cut(clip, config, stream)
    except cut.StreamError as error:
        state = states.NETWORK if error.status is None else states.of_status(error.status)
        raise video.UnavailableError(state, str(error), 0.0 if error.status == 429 else None) from error
    except AudioError as error:
        raise video.UnavailableError(states.DECODE, str(error)) from error
    return _keep(clip, config, found)


def _cut(clip: WantedClip, config: Config, stream: video.MediaStream) -> cut.Cut:
    """Only the wanted seconds; if that fails without a message of the server, cut from the whole stream."""
    start, end = Seconds(clip.start), Seconds(clip.end)
    timeout = config.patience.timeout
    try:
        return cut.read_seconds(stream.url, start=start, end=end, headers=stream.headers, timeout=timeout)
    except cut.StreamError as error:
        if error.status is not None:
            raise
    whole = here(config.root) / PRIVATE / "streams" / quote(f"v{clip.ytid}", safe="")
    once = Patience(tries=1, longest_wait=config.patience.longest_wait, timeout=timeout)
    try:
        http.fetch(stream.url, whole, headers=stream.headers, patience=once)
        with open(whole, "rb") as file:
            found = cut.read_seconds(file, start=start, end=end)
    except http.RefusedError as error:
        raise cut.StreamError(str(error), error.status) from error
    except PhonolakeError as error:
        # The downloaded part stays, and the next attempt continues after it.
        raise cut.StreamError(str(error)) from error
    except (cut.StreamError, AudioError):
        whole.unlink(missing_ok=True)
        raise
    whole.unlink()
    return found


def _keep(clip: WantedClip, config: Config, found: cut.Cut) -> Result:
    """Write the clip, unless it is too short or silent."""
    seconds = float(found.duration)
    peak = float(np.abs(found.x_TC).max()) if seconds else 0.0
    peak_dbfs = max(-200.0, 20 * float(np.log10(peak))) if peak > 0 else -200.0
    seen = now().isoformat()
    if seconds < min(config.min_seconds, clip.end - clip.start):
        detail = f"{seconds:.3f} s of {clip.end - clip.start:g} s, and the least is {config.min_seconds:g} s"
        return Result(clip.track_id, states.SHORT, detail, seen, seconds, peak_dbfs)
    if peak_dbfs < config.silence_dbfs:
        detail = f"peak {peak_dbfs:.1f} dBFS, and the least is {config.silence_dbfs:g} dBFS"
        return Result(clip.track_id, states.SILENT, detail, seen, seconds, peak_dbfs)
    path = _target(config, clip.ytid, clip.start)
    with replacing(path) as temporary:
        sha256 = cut.write_flac(found, temporary)
    detail = f"{seconds:.2f} s at {found.sr} Hz"
    return Result(clip.track_id, states.FETCHED, detail, now().isoformat(), seconds, peak_dbfs, sha256, path=str(path))


def _target(config: Config, ytid: str, start: float) -> Path:
    return here(config.root) / "audio" / f"{ytid}_{start:g}.flac"
