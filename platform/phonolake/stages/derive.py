"""Derived tables: for each input shard one output shard, whose name says what made it out of what.

What is missing is computed, what is there is kept, and what has lost its input or was made by an older version is
dropped in the same commit. So a stage that is run again heals, and new tracks cost only their own shards.
"""

from collections.abc import Iterable

from phonolake.stages.common import merge
from phonolake.store.lake import Change, Lake
from phonolake.store.product import Product
from phonolake.store.shards import SEPARATOR, describe


def missing(lake: Lake, product: Product, sources: Iterable[str]) -> list[str]:
    """Input shards whose output does not lie ready."""
    return [source for source in sources if not lake.path(product.table.name, product.stem(source)).exists()]


def collect(lake: Lake, product: Product, sources: Iterable[str]) -> Change:
    """Take in every shard that lies ready for `sources`, and drop the family's others."""
    name = product.table.name
    stems = [product.stem(source) for source in sources]
    lake.clean(name, stems)
    ready = [lake.path(name, stem) for stem in stems if lake.path(name, stem).exists()]
    expected = {path.name for path in ready}
    stale = [f for f in lake.shards(name) if f.startswith(product.family + SEPARATOR) and f not in expected]
    return Change(product.table, [describe(path) for path in ready], stale)


def collect_all(lake: Lake, pairs: Iterable[tuple[Product, Iterable[str]]]) -> dict[str, Change]:
    """`collect` for several products, merged by table."""
    changes: dict[str, Change] = {}
    for product, sources in pairs:
        change = collect(lake, product, sources)
        name = product.table.name
        changes[name] = merge(changes[name], change) if name in changes else change
    return changes
