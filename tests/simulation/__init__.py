"""Hub, phones, radio and network in virtual time: one seed is one run, the same each time."""
