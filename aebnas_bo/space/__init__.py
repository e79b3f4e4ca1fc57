"""Search spaces: what may vary, in which canonical form, and which network a point stands for."""
