"""Experiments over several searches or many networks."""
