"""The rules of webhooks: where they may go, how an attempt ended, and what follows from it."""
