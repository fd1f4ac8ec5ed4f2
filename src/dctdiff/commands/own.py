"""Look at a folder of images, and write into params.yaml a suite that trains on them; ``make own IMAGES=<folder>``."""

import io
import math
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from PIL import Image
from ruamel.yaml import YAML
from tabulate import tabulate

from dctdiff.data.archive import FORMATS, IMAGE_SUFFIXES
from dctdiff.data.inspection import OTHER_SUFFIXES, problem
from dctdiff.params.document import Document, read_document
from dctdiff.params.suite import validated
from dctdiff.pipeline.command import OneLineParser, run_command
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import walk, write_text
from dctdiff.pipeline.hardware import default_device, device_name

PARAMS = Path("params.yaml")
NAME = "own"
FEWEST_IMAGES = 20  # below, neither a batch nor a distance says much
SMALLER = 0.1  # share of the images that may have fewer pixels than the resolution
CONVERTIBLE = ("has ", "holds ")  # how what is wrong with an image begins if it can be read all the same


class Sizes(NamedTuple):
    """What a device can train in a sitting: minutes of two cores, an hour of a GPU."""

    resolutions: tuple[int, ...]
    tokens_per_side: int  # of the largest grid of tokens
    network: dict[str, float]  # keys of a run
    steps: int  # at most
    measured: int  # images of m*, at most
    sampled: int  # images


SIZES = {
    "cpu": Sizes((16, 32), 4, {"embed_dim": 128, "depth": 4, "num_heads": 4, "batch_size": 32, "lr": 0.002},
                 2000, 300, 100),
    "cuda": Sizes((32, 64, 128), 16, {"embed_dim": 512, "depth": 12, "num_heads": 8, "batch_size": 256, "lr": 0.0008,
                                      "warmup_steps": 500, "ema_rate": 0.9995},
                  30_000, 10_000, 5000),
}  # fmt: skip
MOST_EPOCHS = 400  # of one's own few images: later a network only learns them by heart
TIMES = {"cpu": "some minutes on two cores", "cuda": "an hour of an H100 at most, by forecast"}


class Look(NamedTuple):
    """What a folder holds."""

    short_sides: list[int]  # in pixels, rising, of the images that can be used, once converted
    unfit: Counter  # why images cannot be used as they are -> how many
    n_lost: int  # of them those that cannot be used at all


def look(folder: Path) -> Look:
    """Every image is opened, and none decoded."""
    sides, unfit, n_lost = [], Counter(), 0
    for path in walk(folder):
        suffix = path.suffix.lower()
        if path.name.startswith(".") or not path.is_file() or suffix not in IMAGE_SUFFIXES + OTHER_SUFFIXES:
            continue
        content = path.read_bytes()
        why = problem(content) if suffix in IMAGE_SUFFIXES else f"is {suffix}, not JPEG or PNG"
        if why:
            unfit[why] += 1
        if why and not why.startswith(CONVERTIBLE):
            n_lost += 1
            continue
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            sides.append(min(image.size))
    return Look(sorted(sides), unfit, n_lost)


def resolution_of(short_sides: list[int], choices: Iterable[int]) -> int:
    """The largest of some resolutions that all but a few images have; the smallest if none is."""
    typical = short_sides[math.floor(SMALLER * len(short_sides))]
    return max([side for side in choices if side <= typical], default=min(choices))


def suite_of(folder: str, found: Look, device: str) -> dict:
    """The groups of keys of the suite, without those of ``defaults``; ``device``: a key of ``SIZES``."""
    sizes, n_images = SIZES[device], len(found.short_sides)
    resolution = resolution_of(found.short_sides, sizes.resolutions)
    block_size = max(2, resolution // (2 * sizes.tokens_per_side))
    batch_size = min(sizes.network["batch_size"], n_images)
    steps = min(sizes.steps, math.ceil(MOST_EPOCHS * n_images / batch_size))
    policy = {"unfit": "convert", "background": "white"} if found.unfit.total() > found.n_lost else {"unfit": "skip"}
    download = {"source": "files", "train": folder, **(policy if found.unfit else {})}
    run = {"weights": "trained", "dataset": NAME, "codec": NAME, "prediction": "velocity", **sizes.network}
    kept = list(range(block_size**2, 0, -1))
    measured = {"kept_coefficients": kept, "n_images": min(sizes.measured, n_images)}
    return {
        "datasets": {
            NAME: {"download": download, "crop": {"method": "center", "resolution": resolution}, "reference": {}}
        },
        "codecs": {NAME: {"dataset": NAME, "block_size": block_size, "kept_coefficients": block_size**2}},
        "truncations": {NAME: {"dataset": NAME, "block_size": block_size, **measured}},
        "runs": {NAME: {**run, "batch_size": batch_size, "train_steps": steps, "ask_above_steps": 5000}},
        "cells": {NAME: {"run": NAME, "reference": NAME, "checkpoint": "last", "nfe": 20, "n_images": sizes.sampled}},
    }


def block_of(suite: dict) -> str:
    """The suite as it stands under ``suites`` in params.yaml."""
    stream, yaml = io.StringIO(), YAML(typ="safe")
    yaml.default_flow_style, yaml.width, yaml.sort_base_mapping_type_on_output = None, 120, False
    yaml.dump(suite, stream)
    lines = [f"    {line}\n" for line in stream.getvalue().splitlines()]
    return "".join([f"  # Written by make own; all other keys have their defaults.\n  {NAME}: &{NAME}\n",
                    "    <<: *defaults\n", *lines])  # fmt: skip


def with_suite(text: str, document: Document, block: str) -> str:
    """The text of params.yaml with one suite more, which is chosen; all other lines stay as they are."""
    lines = text.splitlines(keepends=True)
    chosen = document.line(("suite",)) - 1
    after = min(document.line((key,)) - 1 for key in document if document.line((key,)) > document.line(("suites",)))
    lines[chosen] = re.sub(r"\*[\w-]+", f"*{NAME}", lines[chosen], count=1)
    return "".join([*lines[:after], block, "\n", *lines[after:]])


def check(before: Document, after: Document) -> None:
    """A UserError unless only the new suite and the choice differ."""
    validated(after, str(PARAMS))
    suites = {name: suite for name, suite in after["suites"].items() if name != NAME}
    if suites != before["suites"] or after["suite"] != after["suites"][NAME]:
        raise UserError(f"{PARAMS} is not laid out as it was: let `suites:` stand before `suite: *<name>`, one line")


def main() -> None:
    parser = OneLineParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", help="folder of JPEG and PNG images of any size")
    folder = parser.parse_args().images
    if not folder:
        raise UserError("IMAGES is missing; run make own IMAGES=<folder>")
    if not Path(folder).expanduser().is_dir():
        raise UserError(
            f"{folder} is no folder; give one, or write an archive into {PARAMS} as docs/own-images.md says"
        )
    before = read_document(PARAMS)
    if NAME in before["suites"]:
        raise UserError(f"{PARAMS} has a suite {NAME} already; remove it, or rename it with its &{NAME}, and try again")
    found, device = look(Path(folder).expanduser()), default_device()
    if len(found.short_sides) < FEWEST_IMAGES:
        raise UserError(
            f"{folder} holds {len(found.short_sides)} images that can be used, and {found.n_lost} others, but "
            f"{FEWEST_IMAGES} are needed at least; add images"
        )
    suite = suite_of(folder, found, device.type)
    text = PARAMS.read_text(encoding="utf-8")
    write_checked(with_suite(text, before, block_of(suite)), before)
    print(
        tabulate(rows(suite, found, device_name(device)), ["what", "found or chosen", "why"], maxcolwidths=[14, 44, 40])
    )
    print(f"\nThe suite {NAME} stands in {PARAMS} and is chosen. Next ({TIMES[device.type]}):\n\n  make reproduce")


def write_checked(text: str, before: Document) -> None:
    """Write params.yaml once what was written has been read again; else the old one comes back."""
    old = PARAMS.read_text(encoding="utf-8")
    write_text(PARAMS, text)
    try:
        check(before, read_document(PARAMS))
    except UserError:
        write_text(PARAMS, old)
        raise


def rows(suite: dict, found: Look, device: str) -> list[list[str]]:
    dataset, run, codec = (suite[section][NAME] for section in ("datasets", "runs", "codecs"))
    sides, unfit = found.short_sides, found.unfit
    epochs = run["train_steps"] * run["batch_size"] / len(sides)
    reasons = ", ".join(f"{count} {why}" for why, count in unfit.most_common(3)) or "none"
    policy = {"convert": "on white; what cannot be read is left out", "skip": "left out"}
    return [
        ["images", str(len(sides)), f"short sides {sides[0]} to {sides[-1]} pixels, median {sides[len(sides) // 2]}"],
        ["unfit", reasons, policy.get(dataset["download"].get("unfit"), "")],
        ["resolution", f"{dataset['crop']['resolution']}, the middle of each image", f"nine of ten have it; {device}"],
        ["block size", f"{codec['block_size']}, all {codec['kept_coefficients']} coefficients kept",
         "m* will say how many may go"],
        ["network", f"width {run['embed_dim']}, depth {run['depth']}", "for this device"],
        ["training", f"{run['train_steps']} steps of {run['batch_size']} images", f"{epochs:.0f} times each image"],
    ]  # fmt: skip


if __name__ == "__main__":
    run_command(main)
