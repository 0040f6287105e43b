"""Shared lookups in the tables: which run, which labels, held-out predictions."""
