"""Studies: one per paper, each of which runs its experiments again and sets the figures beside those printed."""
