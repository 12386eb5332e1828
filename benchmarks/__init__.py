"""Measurements of the hub beside simpler programs, always as ratios within one run."""
