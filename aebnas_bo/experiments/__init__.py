"""Studies over several searches or many networks."""
