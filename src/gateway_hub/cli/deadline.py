"""The end of a stop that hangs: in a database out of reach, in a thread that waits for a disk."""

import os
import threading


def end_after(seconds: float) -> None:
    """End this process in *seconds*, whatever it is doing then: all it answered for is on disk."""
    timer = threading.Timer(seconds, os._exit, [1])
    timer.daemon = True
    timer.start()
