"""The REST API for backends: HTTP and JSON on one side, services on the other."""
