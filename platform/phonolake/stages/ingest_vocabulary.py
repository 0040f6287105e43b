"""The labels that a dataset can give: rows of `vocabulary`, written anew whenever the dataset's own list changed."""

import re

from phonolake.lineage import digest
from phonolake.sources.contract import Term
from phonolake.store import schema
from phonolake.store.lake import Change, Lake
from phonolake.store.shards import keep_rows


def replacing(lake: Lake, dataset: str, terms: list[Term]) -> Change:
    """Write the labels of a dataset as one shard, to be committed in the place of what the lake has of it."""
    table = schema.table("vocabulary")
    # The name begins with the dataset's, written so that no dataset's name is the beginning of another's.
    prefix = f"{re.sub(r'[^A-Za-z0-9_]+', '-', dataset)[:40]}-{digest(dataset, length=8)}-"
    path = lake.path("vocabulary", prefix + digest(terms))
    change = Change(table, remove=[file for file in lake.shards("vocabulary") if file.startswith(prefix)])
    if terms:
        rows = [
            {
                "dataset": dataset,
                "label": term.label,
                "source_id": term.source_id,
                "parents": list(term.parents),
                "n_rated": term.rated,
                "n_true": term.true,
            }
            for term in terms
        ]
        change.add.append(keep_rows(path, table.arrow, rows))
    return change
