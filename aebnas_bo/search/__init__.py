"""Search loop, strategies and trial store; the only package that uses Ax."""
