"""Statistics of the codecs: eta and entropies."""

import pandas as pd

from dctdiff.registry.spaces import SPACES
from dctdiff.report.tables.fields import NONE, NOT_KNOWN, NOT_RUN
from dctdiff.spaces.zigzag import zigzag

SHOWN_ENTROPIES = 4


def statistics_table(plan: dict, statistics: dict[str, dict]) -> pd.DataFrame:
    """eta and the first entropies of each channel, with the published ones where there are."""
    rows = []
    for name, codec in plan["codecs"].items():
        for channel in SPACES[codec["space"]].channels:
            found = statistics.get(name)
            published = plan["published"].get("statistics", {}).get(name)
            ours = found["channels"][channel]["entropy"] if found else None
            theirs = published[f"entropy_{channel}"] if published else None
            rows.append(
                {
                    "codec": name,
                    "dataset": codec["dataset"],
                    "n": codec.get("n_images") or (found["n_images"] if found else NOT_RUN),
                    "eta": f"{found['eta']:.3f}" if found else NOT_RUN,
                    "published eta": f"{published['eta']:.3f}" if published else NOT_KNOWN,
                    "channel": channel,
                    "entropies (bit)": first_entropies(ours, codec) if found else NOT_RUN,
                    "published entropies": first_entropies(theirs, codec) if published else NOT_KNOWN,
                    "largest difference": f"{largest_difference(ours, theirs):.3f}" if ours and theirs else NONE,
                }
            )
    return pd.DataFrame(rows)


def first_entropies(row_major: list[float], codec: dict) -> str:
    order = zigzag(codec["block_size"]) if SPACES[codec["space"]].has_blocks else [0]
    return " ".join(f"{row_major[index]:.3f}" for index in order[:SHOWN_ENTROPIES])


def largest_difference(ours: list[float], theirs: list[float]) -> float:
    """Over all coefficients of the channel."""
    return max(abs(a - b) for a, b in zip(ours, theirs, strict=True))
