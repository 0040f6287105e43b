"""Clips from elsewhere: which are wanted, how they are fetched, and what became of each."""
