"""Comparison of methods on the same images: one study per method and seed, one table."""
