"""Studies: create, run (with or without a time budget), resume."""
