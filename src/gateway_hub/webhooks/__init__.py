"""Webhooks on their way out: signed, sent through a guard, and the answer taken as a value."""
