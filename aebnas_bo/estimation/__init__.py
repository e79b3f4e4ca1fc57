"""Estimation of accuracy, its standard error and average MACs from an architecture and thresholds."""
