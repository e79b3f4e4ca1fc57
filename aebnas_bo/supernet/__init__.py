"""The weight-sharing network, its training and the plain networks taken from it."""
