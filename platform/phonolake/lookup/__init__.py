"""Questions over the tables that other questions start from: which run, which labels, what was said unseen."""
