"""Downloads of clips: which are wanted, how they are fetched, and the state of each."""
