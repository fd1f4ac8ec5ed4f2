"""Progress of long work, as lines: readable in a terminal, in a log and with jobs side by side."""

import sys
import time

from dctdiff.pipeline.environment import process_rank
from dctdiff.pipeline.job import job

SECONDS_BETWEEN_LINES = 5.0
COLUMNS = 79  # of a line, whatever the terminal has: a log may be read in another
LONGEST_BAR, SHORTEST_BAR = 24, 4


class Bar:
    """Prints a line at its start, at its end and at most every few seconds between."""

    def __init__(self, label: str, total: int | None, unit: str, done: int, silent: bool):
        self.label, self.total, self.unit, self.silent = label, total, unit, silent
        self.n = self.first = done
        self.postfix = ""
        self.started = self.printed = time.monotonic()
        self._print()

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *error) -> None:
        self.close()

    def update(self, n: int = 1) -> None:
        self.n += n
        if time.monotonic() - self.printed >= SECONDS_BETWEEN_LINES:
            self._print()

    def set_postfix_str(self, text: str, refresh: bool = True) -> None:
        self.postfix = f" {text}"
        if refresh:
            self._print()

    def close(self) -> None:
        if self.shown != (self.n, self.postfix):
            self._print()

    def _print(self) -> None:
        self.printed, self.shown = time.monotonic(), (self.n, self.postfix)
        if not self.silent:
            print(line(self, self.printed - self.started), file=sys.stderr, flush=True)


def progress(description: str, total: int | None, unit: str, initial: int = 0) -> Bar:
    """A bar to ``update``, which names the job; of several processes the first tells. ``total``: None if unknown."""
    name = job().name if job() and job().parent.name else None  # a stage with one job needs none
    label = f"{name}: {description}" if name else description
    return Bar(label, total, unit, initial, silent=process_rank() > 0)


def line(bar: Bar, seconds: float) -> str:
    """A bar after some seconds, in ``COLUMNS``: a long label loses its middle, and the picture goes first."""
    counts = f"{bar.n}/{bar.total or '?'} {bar.unit} [{clock(seconds)} < {_remaining(bar, seconds)}]{bar.postfix}"
    share = min(1.0, bar.n / bar.total) if bar.total else 0.0
    percent = f"{share:4.0%} " if bar.total else " "
    label = shortened(bar.label, COLUMNS - len(percent) - 1 - len(counts))
    width = min(LONGEST_BAR, COLUMNS - len(label) - len(percent) - len(counts) - 4)
    picture = f"|{'#' * int(share * width):{width}}| " if bar.total and width >= SHORTEST_BAR else ""
    return f"{label} {percent}{picture}{counts}"


def _remaining(bar: Bar, seconds: float) -> str:
    if bar.total is None or bar.n == bar.first:
        return "?"
    return clock(seconds * max(0, bar.total - bar.n) / (bar.n - bar.first))


def clock(seconds: float) -> str:
    """02:03, or 1:02:03 from an hour on."""
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes:02}:{seconds:02}"


def shortened(text: str, length: int) -> str:
    """Without its middle if it is longer: runs differ at both ends of their names."""
    length = max(length, 8)
    if len(text) <= length:
        return text
    tail = (length - 2) // 2
    return f"{text[: length - 2 - tail]}..{text[-tail:]}"
