"""Analyses of labels: co-occurrence, label vectors, noise, and answers of raters."""
