"""How weights are trained: one loop, its losses, schedule and checkpoints, for supernets and plain networks alike."""
