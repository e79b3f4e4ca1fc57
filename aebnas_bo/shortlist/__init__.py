"""Short trainings that select the networks of a search for full training."""
