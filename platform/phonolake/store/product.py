"""Names of derived shards: the product, its version, and the source shard."""

from dataclasses import dataclass

from phonolake.store.lake import Lake
from phonolake.store.schema import TableSchema
from phonolake.store.shards import SEPARATOR, SUFFIX


@dataclass(frozen=True, slots=True)
class Product:
    """One kind of derived shard.

    Parameters
    ----------
    table : TableSchema
        Table that the shards belong to.
    family : str
        The product without its version: ``mfcc-120``, or the run that trained a model.
    version : str
        Hash of everything that determines their values, except their input.
    """

    table: TableSchema
    family: str
    version: str

    def stem(self, source_file: str) -> str:
        """Name of the shard made from `source_file`."""
        return SEPARATOR.join([self.family, self.version, source_file.removesuffix(SUFFIX)])

    def published(self, lake: Lake) -> list[str]:
        """Published files of this version, in order of their names."""
        prefix = SEPARATOR.join([self.family, self.version, ""])
        return [file for file in lake.shards(self.table.name) if file.startswith(prefix)]
