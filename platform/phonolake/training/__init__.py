"""Training: the loop and the crops it feeds on. Plain PyTorch and numpy; nothing here knows about clusters."""
