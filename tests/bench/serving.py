"""How long requests take to a service that gets so many a second: `phonolake serve` over a lake of made tracks.

    python tests/bench/serving.py --tracks 1000000 --values 160 --rate 200 --seconds 20

Requests are sent when they are due, whether or not those before were answered, over as many connections as it takes.
`--keep FOLDER` keeps the lake for the next run. Beside the times stand those of the searcher alone, in this process.
"""

import argparse
import asyncio
import os
import socket
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
import made_lakes
import numpy as np

from phonolake import execution
from phonolake.analysis.collection.neighbours import Searcher
from phonolake.lookup import indexed
from phonolake.search import index as searching
from phonolake.serve import service
from phonolake.serve.answers import ServiceConfig
from phonolake.stages import index
from phonolake.store.lake import Lake


def lake_at(root: Path, n: int, d: int) -> Lake:
    """The lake that is kept there, or a new one, with its index."""
    lake = Lake.open(root) if root.exists() else made_lakes.make(root, n, d)
    if searching.read_card(indexed.folder(lake, made_lakes.RUN)) is None:
        index.run(index.Config(str(root)))
    return Lake.open(root)


async def load(port: int, numbers: list[int], rate: float) -> list[tuple[str, float]]:
    """Status of each request, or the error without an answer, and seconds from when it was due."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        begin = time.monotonic() + 0.5

        async def ask(place: int, number: int) -> tuple[str, float]:
            due = begin + place / rate
            await asyncio.sleep(due - time.monotonic())
            params = {"track_id": made_lakes.track_id(number), "k": 10}
            try:
                async with session.get(f"http://127.0.0.1:{port}/similar", params=params) as answer:
                    await answer.read()
                    return str(answer.status), time.monotonic() - due
            except (aiohttp.ClientError, TimeoutError) as error:
                return type(error).__name__, time.monotonic() - due

        return await asyncio.gather(*(ask(place, number) for place, number in enumerate(numbers)))


def told(name: str, seconds: list[float]) -> None:
    """Print percentiles."""
    p50, p90, p99 = np.percentile(seconds, [50, 90, 99]) * 1e3
    print(f"{name:34} median {p50:8.2f} ms   90 % {p90:8.2f} ms   99 % {p99:8.2f} ms", flush=True)


def main(lake: Lake, n: int, rates: list[float], seconds: float, replicas: int) -> None:
    """Print the times of the searcher, and of the service at each rate."""
    rng = np.random.default_rng(1)
    with Searcher(lake) as searcher:
        taken = []
        for number in rng.integers(0, n, 500).tolist():
            begin = time.perf_counter()
            searcher.similar(made_lakes.track_id(number))
            taken.append(time.perf_counter() - begin)
    told("searcher alone, one after the other", taken[50:])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (
        execution.session(),
        service.serving(ServiceConfig(lake.place, replicas=replicas), host="127.0.0.1", port=port),
    ):
        asyncio.run(load(port, rng.integers(0, n, 200).tolist(), 50))
        for rate in rates:
            before = os.getloadavg()[0]
            found = asyncio.run(load(port, rng.integers(0, n, int(rate * seconds)).tolist(), rate))
            print(f"{rate:g} requests/s for {seconds:g} s, load before {before:.1f}")
            for status in sorted({status for status, _ in found}):
                taken = [took for each, took in found if each == status]
                told(f"    {len(taken)} with {status}", taken)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracks", type=int, default=100_000)
    parser.add_argument("--values", type=int, default=64)
    parser.add_argument("--rate", type=float, nargs="+", default=[50, 100, 200])
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("--keep", type=Path)
    chosen = parser.parse_args()
    with TemporaryDirectory() as scratch:
        place = chosen.keep or Path(scratch) / "lake"
        lake = lake_at(place, chosen.tracks, chosen.values)
        main(lake, chosen.tracks, chosen.rate, chosen.seconds, chosen.replicas)
