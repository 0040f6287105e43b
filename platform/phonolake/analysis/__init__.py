"""Read-only analyses of the lake: similar tracks, co-occurring labels, suspect labels, results."""
