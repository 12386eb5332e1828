"""Words and rules of the hub. Plain Python: nothing here reads a clock, a socket or a database."""
