"""From an architecture and thresholds to accuracy with its standard error and average MACs."""
