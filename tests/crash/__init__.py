"""Killing a real hub under load, then counting what it lost, doubled or handed out twice."""
