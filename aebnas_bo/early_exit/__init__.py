"""Confidence, exit policy and what thresholds cost and yield; tensors only."""
