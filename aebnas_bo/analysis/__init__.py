"""What the trials amount to: front, hypervolume, tables, figures."""
