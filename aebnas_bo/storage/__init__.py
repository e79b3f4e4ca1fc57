"""Files of a run: paths, atomic writing and locking."""
