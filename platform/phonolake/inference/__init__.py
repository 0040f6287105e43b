"""The only way to run a model: its inputs, and how they are read or computed, cut, scored and pooled."""
