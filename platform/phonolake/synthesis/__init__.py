"""Synthetic music collections with known truth: composed audio, wrong labels and broken files in FMA's layout."""
