"""Preparation of a search: trained supernet, latency table, time forecast."""
