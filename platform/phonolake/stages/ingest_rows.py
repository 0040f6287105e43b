"""Turn one file into rows of the tables of an ingest, or of its rejects."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from phonolake.audio.decode import AudioFacts, probe_and_decode
from phonolake.audio.encoded import Encoded, OnDisk, sha256
from phonolake.audio.tags import read_tags, split_genres
from phonolake.errors import AudioError
from phonolake.inference.recordings import LONGEST, Recipe, describe, rates
from phonolake.lineage import CODE_VERSION, canonical
from phonolake.records import Recording
from phonolake.stages.extraction import Describe
from phonolake.stages.ingest_config import Config
from phonolake.stages.ingest_files import File, encoded, readable
from phonolake.stages.suspects import killed
from phonolake.store import pieces

# The mean of the channels of a recording is at most some dB weaker than they are, unless one is the other's negative.
CANCELS_DB = 40.0


def rows_of(
    file: File, config: Config, recipes: Sequence[Recipe] = (), add: Describe | None = None, *, is_lost: bool = False
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows that one file becomes, each with the name of its table.

    Parameters
    ----------
    recipes, add
        What to compute of it while it is decoded, and what takes that, if anything (`extraction.products_of`).
    is_lost : bool
        Whether workers were lost over it: it is rejected without being touched.
    """
    track_id = f"{config.dataset_name}:{file.recording.source_id}"
    stamp = {"config_hash": config.fingerprint, "code_version": CODE_VERSION}
    where = {
        "source_path": file.where,
        "source_bytes": file.size,
        "source_mtime": file.mtime,
    }
    for split, part, fold in file.recording.splits:
        yield "official_splits", {"track_id": track_id, "split": split, "part": part, "fold": fold}
    with ExitStack() as stack:
        try:
            _check_there(file, config)
            if is_lost:
                raise killed()
            data = stack.enter_context(encoded(file))
            digest_of_file = sha256(data)
            ending = file.recording.path.suffix[1:]
            facts, decoded = probe_and_decode(
                data, rates(recipes), longest=LONGEST, extension=ending, max_seconds=config.max_seconds
            )
            _check_usable(facts, config)
            _check_unchanged(file, data)
        except AudioError as error:
            reject = {"track_id": track_id, "dataset": config.dataset_name, "stage": "ingest"}
            retryable = error.reason in {"unreadable", "missing"}
            why = {"reason": error.reason, "detail": error.detail, "retryable": retryable}
            yield "rejects", reject | why | where | stamp
            return
        tags = read_tags(data)
        row = _audio_row(track_id, facts) | {"sha256": digest_of_file} | where
        for number, piece in pieces.cut(len(data)):
            yield "audio", row | {"bytes": data[piece], "piece": number}
        if add is not None and recipes:
            add(track_id, describe(recipes, data, facts.duration, decoded))
        _check_unchanged(file, data)
    yield "tracks", track_row(track_id, file.recording, config.dataset_name, facts, tags) | stamp
    yield "metadata", _metadata_row(track_id, file)
    genres = split_genres(tags.genres) if config.split_genres else tags.genres
    said = [(file.recording.labels, "dataset"), (file.recording.tags, "tags"), (genres, "file-tag")]
    for labels, source in said:
        for label in labels:
            if label:
                yield "labels", {"track_id": track_id, "label": label, "value": 1, "source": source}
    for split, part, fold in file.recording.splits:
        yield "splits", {"track_id": track_id, "split": split, "part": part, "fold": fold}


def _check_there(file: File, config: Config) -> None:
    if file.recording.fault:
        raise AudioError("metadata", file.recording.fault)
    if file.outside:
        raise AudioError("outside", f"a link leads out of the dataset, to {readable(file.outside)}")
    if file.size is None:
        raise AudioError("missing", f"no file at {file.where}")
    if file.size > config.max_bytes:
        raise AudioError("too-large", f"{file.size} bytes, and the limit is {config.max_bytes} (--max-bytes)")


def _check_unchanged(file: File, data: Encoded) -> None:
    """Refuse a large file that was changed while it was read in pieces."""
    if isinstance(data, OnDisk) and (len(data), data.modified) != (file.size, file.mtime):
        raise AudioError("unreadable", "the file changed while it was read")


def _check_usable(facts: AudioFacts, config: Config) -> None:
    if facts.duration < config.min_seconds:
        raise AudioError("too-short", f"{facts.duration:.3f} s, and the least is {config.min_seconds:g} s")
    if facts.peak_dbfs < config.silence_dbfs:
        raise AudioError("silent", f"peak {facts.peak_dbfs:.1f} dBFS, and the least is {config.silence_dbfs:g} dBFS")
    if facts.mix_dbfs < facts.rms_dbfs - CANCELS_DB:
        mix = f"their mean, which is what is used, {facts.mix_dbfs:.1f} dBFS"
        raise AudioError("silent", f"cancels: the channels have {facts.rms_dbfs:.1f} dBFS, and {mix}")
    if facts.clipped > config.max_clipped:
        most = f"the most is {config.max_clipped:.1%}"
        raise AudioError("clipped", f"{facts.clipped:.1%} of the samples are at full scale in short tops, and {most}")


def track_row(track_id: str, recording: Recording, dataset: str, facts: AudioFacts, tags: Any) -> dict[str, Any]:
    """The row of `tracks` of one recording."""
    return {
        "track_id": track_id,
        "dataset": dataset,
        "source_id": recording.source_id,
        "title": recording.title or tags.title,
        "artist": recording.artist or tags.artist,
        "album": recording.album or tags.album,
        "year": recording.year or tags.year,
        "licence": recording.licence,
        "duration_seconds": facts.duration,
    }


def _audio_row(track_id: str, facts: AudioFacts) -> dict[str, Any]:
    return {
        "track_id": track_id,
        "container": facts.container,
        "codec": facts.codec,
        "sr": facts.sr,
        "channels": facts.channels,
        "n_samples": facts.n_samples,
        "peak_dbfs": facts.peak_dbfs,
        "rms_dbfs": facts.rms_dbfs,
    }


def _metadata_row(track_id: str, file: File) -> dict[str, Any]:
    return {
        "track_id": track_id,
        "artist_id": file.recording.artist_id,
        "album_id": file.recording.album_id,
        "attributes": canonical(dict(file.recording.attributes)),
        "metadata_hash": file.said,
    }
