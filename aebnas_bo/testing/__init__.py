"""Contract tests and tiny fixtures for those who extend the package."""
