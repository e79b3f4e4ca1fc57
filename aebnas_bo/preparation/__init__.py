"""What a search needs before it starts: trained supernet, latency table, forecast."""
