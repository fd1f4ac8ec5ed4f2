"""What of a method helps: one row per variant of a suite that changes one thing at a time."""

import statistics

import pandas as pd

from dctdiff.params.seeds import family
from dctdiff.registry.spaces import SPACES
from dctdiff.report.tables.fields import NONE, NOT_RUN
from dctdiff.report.tables.recipes import measured_how

USUAL_TAU = 98.25  # of the paper


def ablation_table(plan: dict, tried: dict[str, dict]) -> tuple[pd.DataFrame, str]:
    """One row per run but for its seeds, in the order of the plan, and how its distance was measured.

    ``tried``: as ``recipes.tried_recipes`` gives it; runs that it does not have are said not to have run.
    """
    variants: dict[str, list[str]] = {}
    for name in plan["runs"]:
        variants.setdefault(family(plan["runs"], name), []).append(name)
    rows = [
        _row(plan, variant, [tried[name] for name in names if name in tried]) for variant, names in variants.items()
    ]
    return pd.DataFrame(rows), _note(plan, tried)


def variant_in_words(plan: dict, name: str) -> str:
    """What the network of a run sees, and how; runs that differ in nothing but the seed have the same words."""
    run = plan["runs"][family(plan["runs"], name)]
    codec = plan["codecs"][run["codec"]]
    space = SPACES[codec["space"]]
    words = [space.words]
    if space.has_blocks and space.frequencies:
        all_of_block = codec["block_size"] ** 2
        words += [f"{codec['kept_coefficients']} of {all_of_block} kept"] * (codec["kept_coefficients"] < all_of_block)
        words += [f"tau {codec['tau']:g}"] * (codec["tau"] != USUAL_TAU)
    words += [f"SNR scale {run['snr_scale']:g}"]
    words += ["entropy weights"] * (space.has_blocks and run["loss_weights"] == "entropy")
    return ", ".join(words)


def _row(plan: dict, name: str, found: list[dict]) -> dict[str, str]:
    run = plan["runs"][name]
    codec = plan["codecs"][run["codec"]]
    space = SPACES[codec["space"]]
    of_dct = space.has_blocks and space.frequencies
    distances = [one["distance"] for one in found]
    return {
        "variant": name,
        "what the network sees": space.words,
        "kept": f"{codec['kept_coefficients']} of {codec['block_size'] ** 2}" if of_dct else NONE,
        "tau": f"{codec['tau']:g}" if space.has_blocks else NONE,
        "SNR scale": f"{run['snr_scale']:g}",
        "loss weights": run["loss_weights"] if space.has_blocks else NONE,
        "mean distance": f"{statistics.fmean(distances):.2f}" if distances else NOT_RUN,
        "each seed": ", ".join(f"{value:.2f}" for value in distances) or NOT_RUN,
    }


def _note(plan: dict, tried: dict[str, dict]) -> str:
    run = next(iter(plan["runs"].values()))
    metrics, machines = measured_how(tried)
    of_each = f"{run['train_steps']:,} steps of {run['batch_size']} images each, {machines}"
    return f"Distance: {metrics}; lower is better. {of_each}."
