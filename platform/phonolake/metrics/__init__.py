"""Metrics, in numpy only."""
