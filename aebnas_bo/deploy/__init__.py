"""From an architecture to a network that is trained to the end."""
