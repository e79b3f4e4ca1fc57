"""Execution of jobs: in this process, on workers of a Ray cluster, or simulated; knows neither trials nor networks."""
