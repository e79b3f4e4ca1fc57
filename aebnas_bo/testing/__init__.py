"""Contract tests and small fixtures for extensions of the package."""
