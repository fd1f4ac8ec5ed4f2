"""Progress of long work, as lines: readable in a terminal, in a log and with jobs side by side."""

from tqdm import tqdm

from dctdiff.pipeline.environment import process_rank

SECONDS_BETWEEN_LINES = 5.0
LINE = "{desc} {percentage:3.0f}% |{bar:24}| {n_fmt}/{total_fmt} {unit} [{elapsed} < {remaining}]{postfix}\n"


def progress(description: str, total: int, unit: str, initial: int = 0) -> tqdm:
    """A bar to ``update`` that prints a new line at most every few seconds; of several processes the first tells."""
    return tqdm(
        desc=description, total=total, unit=unit, initial=initial,
        mininterval=SECONDS_BETWEEN_LINES, bar_format=LINE, ascii=" #",
        disable=process_rank() > 0,
    )  # fmt: skip
