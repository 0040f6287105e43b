"""Whoever asks a model anything comes here: what it reads, how that is read or computed, cut, scored and pooled."""
