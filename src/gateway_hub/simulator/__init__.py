"""Phones simulated without I/O: what the simulators of all protocols share."""
