"""The lake: schemas as SQL, deterministic Parquet shards, one Delta log per table, one DuckDB catalog over all."""
