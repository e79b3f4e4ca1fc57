"""The loop that asks for trials, evaluates and stores them; the only place that knows Ax."""
