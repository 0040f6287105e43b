"""Segments of indexes as shards of a lake: what they are of, what is shown of their tracks, and who leaves them."""
