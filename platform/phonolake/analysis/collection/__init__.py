"""Analyses of the collection: overview, map, splits, licences, and similar tracks."""
