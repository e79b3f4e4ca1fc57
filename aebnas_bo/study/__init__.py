"""One study from configuration to results, within a time budget or without, and resuming it."""
