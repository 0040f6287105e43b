"""Shards on their way to object storage: put with what is known of them, so that nobody reads them again for it."""

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

# Shards that are looked at, or put, at once.
PARALLEL = 16
# An object has room for 2,048 characters beside it.
MOST_STATISTICS = 1_500


def send(place: Place, name: str, *, create: bool = False) -> None:
    """Put a shard of this machine, with its statistics and checksum; `TakenError` with `create` when there is one."""
    path = place.root / name
    place.send(name, create=create, facts={"statistics": _packed(describe(path)), "sha256": sha256(path)})


def described(place: Place, names: Iterable[str]) -> list[Shard]:
    """The facts of finished shards; the errors are those of `phonolake.store.shards.describe`."""
    if not place.is_remote:
        return [describe(place.root / name) for name in names]
    with ThreadPoolExecutor(PARALLEL) as pool:
        return [shard for shard, _ in pool.map(lambda name: _looked_at(place, name), names)]


def sent(lake: "Lake", table: str, change: Change) -> Change:
    """A change whose shards all lie where everybody sees them, as they lie there; their checksums are kept."""
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
    """The statistics of a shard as ASCII of bounded length, which is all that may stand beside an object."""
    statistics = json.dumps(json.loads(shard.statistics))
    if len(statistics) > MOST_STATISTICS:
        # Long ids end in the same letter, many times over.
        statistics = b64encode(zlib.compress(shard.statistics.encode())).decode()
    if len(statistics) > MOST_STATISTICS:
        statistics = Shard(shard.file, shard.rows, shard.bytes).statistics
    return statistics


def _unpacked(statistics: str) -> str:
    return statistics if statistics.startswith("{") else zlib.decompress(b64decode(statistics)).decode()


def _looked_at(place: Place, name: str) -> tuple[Shard, str]:
    """The facts of a shard on object storage, and its checksum as its writer took it."""
    try:
        size, facts = place.facts(name)
    except FileNotFoundError as error:
        raise GoneError(f"{place.named(name)} is not there: run the stage again") from error
    if "statistics" in facts and "sha256" in facts:
        return Shard.stated(name.rpartition("/")[2], size, _unpacked(facts["statistics"])), facts["sha256"]
    # Somebody copied it there without them.
    copy = place.fetch(name, size)
    return describe(copy), sha256(copy)
