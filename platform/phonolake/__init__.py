"""Phonolake: a lake of Parquet shards for music collections."""
