"""Phonolake: a lake of Parquet shards for music collections.

>>> import phonolake
>>> lake = phonolake.open("lake")  # doctest: +SKIP
>>> lake.sql("SELECT count(*) FROM tracks").df()  # doctest: +SKIP
"""

from phonolake.api import OpenLake, open
from phonolake.errors import AudioError, PhonolakeError, UsageError
from phonolake.lineage import CODE_VERSION

__version__ = CODE_VERSION

__all__ = ["AudioError", "OpenLake", "PhonolakeError", "UsageError", "__version__", "open"]
