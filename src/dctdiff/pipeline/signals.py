"""Signals by which a person, a scheduler or a terminal asks a process to stop."""

import signal
from collections.abc import Callable

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP)


def stop_on_signals() -> Callable[[], bool]:
    """A function that tells whether one of them has come since."""
    received = []
    for number in STOPPING:
        signal.signal(number, lambda number, frame: received.append(number))
    return lambda: bool(received)
