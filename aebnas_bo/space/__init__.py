"""Search spaces: parameters, canonical form, and the network of a point."""
