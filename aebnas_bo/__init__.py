"""Bayesian search for early-exit neural networks: backbone, exit branches and thresholds together."""

__version__ = "0.1.0"
