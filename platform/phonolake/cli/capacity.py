"""Commands about work on a cluster: what a large ingest takes, and which jobs run on a lake."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from phonolake.cli import options
from phonolake.cli.output import emit

if TYPE_CHECKING:
    from phonolake.stages.extraction import RecipeNames


@click.command(epilog=options.example("phonolake plan audioset --seconds 10 --nodes 8 --cores 16 --storage-rate 1000"))
@click.argument("dataset_or_folder", metavar="DATASET|DIR")
@click.option(
    "--nodes", type=click.IntRange(1), default=1, show_default=True, metavar="N", help="Nodes of the cluster."
)
@click.option("--cores", type=click.IntRange(1), required=True, metavar="C", help="Cores of each node.")
@click.option(
    "--storage-rate",
    type=click.FloatRange(0, min_open=True),
    required=True,
    metavar="MB/S",
    help="Megabytes a second that all nodes together can read and write.",
)
@click.option(
    "--seconds", type=click.FloatRange(0, min_open=True), metavar="S", help="Length of a recording of the dataset."
)
@options.recipes
@options.form
def plan(
    dataset_or_folder: str,
    nodes: int,
    cores: int,
    storage_rate: float,
    seconds: float | None,
    recipes: "RecipeNames",
    form: str,
) -> None:
    """Estimate what an ingest takes: core-hours, disk, traffic, time and the bottleneck.

    Rates are measured here: some recordings of the folder, or made ones, are taken in on one core.
    """
    from phonolake.sources import contract
    from phonolake.stages import capacity, source_root
    from phonolake.store import mirror

    if mirror.is_remote(dataset_or_folder) or Path(dataset_or_folder).expanduser().is_dir():
        with source_root.opened(dataset_or_folder, contract.get("folder")) as root:
            found, sample = capacity.of_folder(root.path)
            rates = capacity.measure(sample, recipes, root.looker(follows_links=True))
    else:
        with TemporaryDirectory() as scratch:
            found, sample = capacity.of_dataset(dataset_or_folder, seconds, Path(scratch))
            rates = capacity.measure(sample, recipes)
    steps = capacity.estimate(found, rates, nodes=nodes, cores=cores, storage_rate=storage_rate * 1e6)
    emit(steps, form, of=capacity.WorkStep)
    decoded = 1 / rates.core_seconds / 1e6
    click.echo(
        f"{found.tracks} recordings of {found.bytes / 1e9:.3g} GB; a core of this machine takes in {decoded:.2f} MB of "
        "audio a second.",
        err=True,
    )


@click.command(epilog=options.example("phonolake jobs --lake lake"))
@options.lake
@options.form
def jobs(lake: str, form: str) -> None:
    """List the running jobs of the lake: what, who, where and since when."""
    from phonolake.store import jobs as records
    from phonolake.store.lake import Lake

    emit(records.living(Lake.open(lake).place), form, of=records.Job)


COMMANDS = (plan, jobs)
