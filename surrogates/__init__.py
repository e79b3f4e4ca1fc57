"""Gaussian processes and acquisition over mixed, conditional spaces; knows tensors and column names only."""
