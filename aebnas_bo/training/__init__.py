"""The training loop with its losses, learning-rate schedule and checkpoints, for supernets and single networks."""
