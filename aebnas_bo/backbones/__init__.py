"""Backbones that users already have: created, traced, and cut at the points where exits may be attached."""
