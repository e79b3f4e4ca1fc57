"""Rank correlation of the supernet's estimates with networks trained alone."""
