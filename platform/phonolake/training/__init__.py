"""Training: the loop and its batches. Plain PyTorch and numpy; nothing here knows about clusters."""
