"""Analyses of results: figures of models, their clips, comparisons and ensembles."""
