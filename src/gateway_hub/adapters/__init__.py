"""Adapters: one folder per phone protocol, each with the same files."""
