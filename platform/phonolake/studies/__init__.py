"""Studies: one per paper, each repeats its experiments and compares the figures with the published ones."""
