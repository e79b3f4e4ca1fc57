"""Short trainings that decide which networks of a search are trained to the end."""
