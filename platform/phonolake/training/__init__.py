"""Training: the loop, and what models read. Plain PyTorch and numpy; nothing here knows about clusters."""
