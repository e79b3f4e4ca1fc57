"""Methods side by side on the same images: one study per method and seed, one table."""
