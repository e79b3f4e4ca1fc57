"""Campaigns of random mistakes and accidents; `make attack` runs them all."""
