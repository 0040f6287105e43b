"""Derived tables: for each input shard one output shard, whose name contains the product and the source.

Missing shards are computed, existing ones kept, and those without an input or from an older version are dropped in the
same commit. So running a stage again repairs the table, and new tracks cost only their own shards.
"""

from collections.abc import Collection, Iterable, Mapping

from phonolake.store.lake import Change, Lake
from phonolake.store.outcomes import merge
from phonolake.store.product import Product
from phonolake.store.shards import SEPARATOR, SUFFIX, Shard


def missing(lake: Lake, product: Product, sources: Iterable[str]) -> list[str]:
    """Input shards without a finished output."""
    ready = lake.ready(product.table.name)
    return [source for source in sources if product.stem(source) + SUFFIX not in ready]


def collect(lake: Lake, product: Product, sources: Iterable[str]) -> Change:
    """Add every finished, unpublished shard for `sources`, and drop the family's others."""
    name = product.table.name
    published, ready = lake.shards(name), _ready(lake, product, sources)
    stale = [file for file in published if file.startswith(product.family + SEPARATOR) and file not in ready]
    new = lake.describe(name, [file for file in ready if file not in published])
    return Change(product.table, new, stale, reusable=True)


def outputs(lake: Lake, product: Product, sources: Iterable[str]) -> list[Shard]:
    """Every finished shard for `sources`, published or not; with the facts of the log for published ones."""
    name = product.table.name
    return lake.describe(name, list(_ready(lake, product, sources)), known=lake.shards(name))


def _ready(lake: Lake, product: Product, sources: Iterable[str]) -> dict[str, None]:
    there = lake.ready(product.table.name)
    return {file: None for source in sources if (file := product.stem(source) + SUFFIX) in there}


def check_replaced(
    lake: Lake, table: str, changes: Mapping[str, Change], *, read: Collection[str], todo: Collection[str]
) -> None:
    """Refuse to drop shards without a finished replacement: new publications of other jobs must be processed first.

    Parameters
    ----------
    table : str
        Table of the input shards.
    read : collection of str
        Input shards that were processed.
    todo : collection of str
        Published ones with a missing output. New ones are allowed, as long as nothing is dropped.

    Raises
    ------
    OvertakenError
    """
    dropped = any(change.remove for change in changes.values())
    if todo and (dropped or not set(read) <= lake.shards(table).keys()):
        raise lake.overtaken(table)


def discard(lake: Lake, products: Iterable[Product], table: str, read: Collection[str]) -> None:
    """Remove outputs of input shards that are no longer published, because nobody can commit them."""
    gone = set(read) - lake.shards(table).keys()
    outputs: dict[str, list[str]] = {}
    for product in products if gone else ():
        outputs.setdefault(product.table.name, []).extend(product.stem(source) + SUFFIX for source in gone)
    lake.discard(outputs)


def collect_all(lake: Lake, pairs: Iterable[tuple[Product, Iterable[str]]]) -> dict[str, Change]:
    """`collect` for several products, merged by table."""
    changes: dict[str, Change] = {}
    for product, sources in pairs:
        change = collect(lake, product, sources)
        name = product.table.name
        changes[name] = merge(changes[name], change) if name in changes else change
    return changes
