"""Ingest, extract, split, train, score, index: each reads named tables and writes named tables."""
