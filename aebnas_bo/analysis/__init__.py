"""Results of a study: Pareto front, hypervolume, tables and figures."""
