"""An SMS gateway hub: phones on one side, backend services on the other, nothing lost between."""

__version__ = "0.1.0"
