"""Kernels, one per file."""
