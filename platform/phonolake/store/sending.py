"""Upload shards to object storage with their statistics, so that nobody needs to read them again for these."""

import json
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from phonolake.files import sha256
from phonolake.store import checksums, delta
from phonolake.store.changes import Change
from phonolake.store.objects import TakenError
from phonolake.store.place import Place
from phonolake.store.shards import GoneError, Shard, describe

if TYPE_CHECKING:
    from phonolake.store.lake import Lake

# Parallel uploads or reads of shards.
PARALLEL = 16
# Metadata of an object may have 2,048 characters.
MOST_STATISTICS = 1_500


def send(place: Place, name: str, *, create: bool = False) -> None:
    """Upload a local shard, with its statistics and checksum; `TakenError` with `create` if it exists."""
    path = place.root / name
    place.send(name, create=create, facts={"statistics": _packed(describe(path)), "sha256": sha256(path)})


def described(place: Place, names: Iterable[str]) -> list[Shard]:
    """The facts of finished shards; the errors are those of `phonolake.store.shards.describe`."""
    if not place.is_remote:
        return [describe(place.root / name) for name in names]
    with ThreadPoolExecutor(PARALLEL) as pool:
        return [shard for shard, _ in pool.map(lambda name: _looked_at(place, name), names)]


def sent(lake: "Lake", table: str, change: Change) -> Change:
    """A change after the upload of all its shards; their checksums are stored."""
    published = lake.shards(table)
    ready = lake.ready(table) if change.add else set()

    def put(shard: Shard) -> tuple[Shard, str]:
        if shard.file in published:
            return published[shard.file], ""
        name = lake.name(table, shard.file)
        if shard.file not in ready:
            with suppress(TakenError):  # another job wrote the same one first
                send(lake.place, name, create=True)
        return _looked_at(lake.place, name)

    with ThreadPoolExecutor(PARALLEL) as pool:
        found = list(pool.map(put, change.add))
    checksums.keep(lake.place, delta.folder(table), {shard.file: digest for shard, digest in found if digest})
    return replace(change, add=[shard for shard, _ in found])


def _packed(shard: Shard) -> str:
    """The statistics of a shard as ASCII of bounded length, which metadata of an object require."""
    statistics = json.dumps(json.loads(shard.statistics))
    if len(statistics) > MOST_STATISTICS:
        # Long ids are cut.
        statistics = b64encode(zlib.compress(shard.statistics.encode())).decode()
    if len(statistics) > MOST_STATISTICS:
        statistics = Shard(shard.file, shard.rows, shard.bytes).statistics
    return statistics


def _unpacked(statistics: str) -> str:
    return statistics if statistics.startswith("{") else zlib.decompress(b64decode(statistics)).decode()


def _looked_at(place: Place, name: str) -> tuple[Shard, str]:
    """The facts of a shard on object storage, and its writer's checksum."""
    try:
        size, facts = place.facts(name)
    except FileNotFoundError as error:
        raise GoneError(f"{place.named(name)} does not exist: run the stage again") from error
    if "statistics" in facts and "sha256" in facts:
        return Shard.stated(name.rpartition("/")[2], size, _unpacked(facts["statistics"])), facts["sha256"]
    # It was copied there without them.
    copy = place.fetch(name, size)
    return describe(copy), sha256(copy)
