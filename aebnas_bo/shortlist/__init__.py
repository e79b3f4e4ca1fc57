"""Short trainings of the most promising networks of a search: which of them deserve the long one."""
