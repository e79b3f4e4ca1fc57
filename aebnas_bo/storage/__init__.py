"""Files of a run: where they lie, how they are written and locked."""
