"""Use cases: each one transaction, in the words of the domain."""
