"""Something done again and again beside the work."""

import contextlib
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def meanwhile(act: Callable[[], None], seconds: float, most_seconds: float) -> Iterator[None]:
    """Call ``act`` from a thread until the block ends, at intervals that double from the one to the other."""
    ended = threading.Event()

    def repeat() -> None:
        interval = seconds
        while not ended.wait(interval):
            act()
            interval = min(2 * interval, most_seconds)

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
