"""What a derived shard is called: what it is, by which version of the code, made of which shard."""

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
        What they are, whatever the version: ``mfcc-120``, or the run that trained a model.
    version : str
        Hash of everything that decides about their values, apart from their input.
    """

    table: TableSchema
    family: str
    version: str

    def stem(self, source_file: str) -> str:
        """Name of the shard that is made from `source_file`."""
        return SEPARATOR.join([self.family, self.version, source_file.removesuffix(SUFFIX)])

    def published(self, lake: Lake) -> list[str]:
        """Files of this version that readers see, in order of their names."""
        prefix = SEPARATOR.join([self.family, self.version, ""])
        return [file for file in lake.shards(self.table.name) if file.startswith(prefix)]
