"""The command line ``dctdiff``: what was made, used from a shell.

Words, files and numbers are checked before torch is imported, so that nobody waits for the answer to a mistake.
"""

import argparse
import math
import warnings
from argparse import ArgumentTypeError, Namespace
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from dctdiff.data.archive import decode_image, image_grid
from dctdiff.data.sets import count_set
from dctdiff.models.header import read_header
from dctdiff.pipeline.arrays import read_arrays
from dctdiff.pipeline.command import OneLineParser, run_command
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import replacing
from dctdiff.pipeline.progress import progress
from dctdiff.registry.extractors import EXTRACTORS
from dctdiff.registry.networks import NETWORKS
from dctdiff.registry.samplers import SAMPLERS
from dctdiff.registry.spaces import SPACES

GRID_COLUMNS = 10  # at most
GRID_SIDE = 64  # pixels to which small images are magnified
AGAIN = "make it again: dctdiff encode"


# Words.


def sample(arguments: Namespace) -> None:
    config, _ = read_header(arguments.weights)
    check_label(arguments.label, config["class_counts"])
    from dctdiff.api import model

    loaded = model.load_model(arguments.weights)
    with progress("sample", arguments.n, "images") as bar:
        images = model.sample(
            loaded, arguments.n, arguments.nfe, arguments.sampler, arguments.label, arguments.seed, on_batch=bar.update
        )
    if arguments.out.suffix.lower() == ".png":
        columns = min(GRID_COLUMNS, math.isqrt(len(images) - 1) + 1)
        write_png(arguments.out, image_grid(images, columns, max(1, GRID_SIDE // config["resolution"])))
    else:
        for index, image in enumerate(images):
            write_png(arguments.out / f"{index:08d}.png", Image.fromarray(image))
    print(arguments.out)


def check_label(label: int | None, class_counts: list[int] | None) -> None:
    if label is None:
        return
    if class_counts is None:
        raise UserError(f"--class is {label}, but the model was trained without classes; leave it out")
    if label >= len(class_counts):
        raise UserError(f"--class is {label}, but the model has the classes 0 to {len(class_counts) - 1}")


def fid(arguments: Namespace) -> None:
    counts = [count_set(path) for path in (arguments.images, arguments.reference)]
    if min(counts) < 2:
        raise UserError(f"the sets have {counts[0]} and {counts[1]} images, but each needs 2 or more")
    from dctdiff.api.comparison import distance

    with progress("measure", sum(counts), "images") as bar:
        found = distance(arguments.images, arguments.reference, arguments.extractor, bar.update)
    print(f"{found.metric} {found.value:.2f}, of {found.n_images} images to {found.n_reference}")


def encode(arguments: Namespace) -> None:
    side, drop, n = arguments.block_size, arguments.drop, arguments.block_size**2
    if drop >= n:
        raise UserError(f"--drop is {drop}, but a block has {n} coefficients; drop 0 to {n - 1}")
    whole = decode_image(arguments.image.read_bytes(), str(arguments.image))
    image = middle_square(whole, 2 * side, arguments.image)
    resolution = len(image)
    from dctdiff.api import coding

    codec = coding.dct_codec(resolution, side, drop, arguments.eta)
    values = coding.encode(image[None], codec)
    with replacing(arguments.out) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, coefficients=values[0], block_size=side, eta=codec.eta)
    print(f"{arguments.image}: the middle {resolution} x {resolution} of {whole.shape[1]} x {whole.shape[0]} pixels")
    print(f"{arguments.out}: {codec.shape[0]} tokens of {codec.shape[1]}; eta {codec.eta:g}, {n - drop} of {n} kept")
    cost = f"decoded, it differs by {error(image, coding.decode(values, codec)[0]):.2f} grey levels on average"
    if drop:
        whole_codec = coding.dct_codec(resolution, side, 0, codec.eta)
        with warnings.catch_warnings(action="ignore"):  # it was said of the first
            rebuilt = coding.decode(coding.encode(image[None], whole_codec), whole_codec)
        cost += f", with all coefficients by {error(image, rebuilt[0]):.2f}"
    print(cost)


def middle_square(image: np.ndarray, multiple: int, name: Path) -> np.ndarray:
    """The largest square in the middle of ``(H, W, 3)`` whose side is a multiple."""
    height, width = image.shape[:2]
    side = min(height, width) // multiple * multiple
    if side == 0:
        raise UserError(
            f"{name} has {width} x {height} pixels, but tokens have {multiple} x {multiple}; lower --block-size"
        )
    top, left = (height - side) // 2, (width - side) // 2
    return image[top : top + side, left : left + side]


def error(image: np.ndarray, other: np.ndarray) -> float:
    """Mean absolute difference of two uint8 images."""
    return float(np.abs(image.astype(float) - other).mean())


def decode(arguments: Namespace) -> None:
    arrays = read_arrays(str(arguments.coefficients), ("coefficients", "block_size", "eta"), AGAIN)
    values = arrays["coefficients"]
    from dctdiff.api import coding

    try:
        block_size, eta = int(arrays["block_size"]), float(arrays["eta"])
        resolution = 2 * block_size * math.isqrt(len(values))
        codec = coding.dct_codec(resolution, block_size, block_size**2 - values.shape[1] // 6, eta)
    except (TypeError, ValueError, IndexError, UserError) as wrong:
        raise UserError(f"{arguments.coefficients} does not hold what encode writes ({wrong}); {AGAIN}") from None
    write_png(arguments.out, Image.fromarray(coding.decode(values[None], codec)[0]))
    print(arguments.out)


def info(arguments: Namespace) -> None:
    config, n_parameters = read_header(arguments.weights)
    print(f"images     {config['resolution']} x {config['resolution']} pixels, {in_words(config['class_counts'])}")
    print(f"space      {space_in_words(config)}")
    sizes = f"width {config['embed_dim']}, depth {config['depth']}, {config['num_heads']} heads"
    network = NETWORKS[config.get("network_kind", "uvit")].words
    print(f"network    {network}, {sizes}; {n_parameters / 1e6:.3g} million parameters")
    chain = "chain of 1,000 steps, " if config.get("framework") == "discrete" else ""
    print(f"diffusion  {chain}predicts {config.get('prediction', 'noise')}, SNR scale {config['snr_scale']:g}")
    print(f"file       {arguments.weights.stat().st_size / 1e6:.3g} MB")


def in_words(class_counts: list[int] | None) -> str:
    return "no classes" if class_counts is None else f"classes 0 to {len(class_counts) - 1}"


def space_in_words(config: dict) -> str:
    if not SPACES[config["space"]].has_blocks:
        made_by = config.get("autoencoder") and (config["autoencoder"]["sha256"] or "random weights")
        patches = f"{config['space']}, patches of {config['patch_size']} x {config['patch_size']}"
        return f"{patches}, by the autoencoder {made_by[:16]}" if made_by else patches
    side, n = config["block_size"], config["block_size"] ** 2
    dropped = f"m = {n - config['kept_coefficients']} of {n} coefficients dropped"
    return f"{config['space']}, blocks of {side} x {side}, {dropped}, eta {config['eta']:g}"


def doctor(arguments: Namespace) -> None:
    if not Path("params.yaml").exists():
        raise UserError("params.yaml is not here; go to the folder of the project, whose suite the doctor looks at")
    from dctdiff.commands.doctor import main

    main()


def write_png(path: Path, picture: Image.Image) -> None:
    with replacing(path) as temporary:
        picture.save(temporary, "PNG", optimize=True)


# Arguments.


def whole_number(least: int) -> Callable[[str], int]:
    def parsed(text: str) -> int:
        if not text.isascii() or not text.isdigit() or int(text) < least:
            raise ArgumentTypeError(f"{text} is not a whole number of at least {least}")
        return int(text)

    return parsed


def positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise ArgumentTypeError(f"{text} is not a number above 0")
    return value


def file(text: str) -> Path:
    if not Path(text).is_file():
        raise ArgumentTypeError(f"{text} is a folder, not a file" if Path(text).is_dir() else f"{text} does not exist")
    return Path(text)


def file_or_folder(text: str) -> Path:
    if not Path(text).exists():
        raise ArgumentTypeError(f"{text} does not exist")
    return Path(text)


def named(suffix: str) -> Callable[[str], Path]:
    def parsed(text: str) -> Path:
        if Path(text).suffix.lower() != suffix:
            raise ArgumentTypeError(f"{text} does not end in {suffix}")
        return Path(text)

    return parsed


def parser() -> argparse.ArgumentParser:
    whole = OneLineParser(prog="dctdiff", description="Use what was made: weights, codecs, sets of images.")
    words = whole.add_subparsers(dest="word", required=True, metavar="WORD", parser_class=OneLineParser)

    def word(work: Callable[[Namespace], None], text: str) -> argparse.ArgumentParser:
        added = words.add_parser(work.__name__, help=text, description=text, allow_abbrev=False)
        added.set_defaults(work=work)
        return added

    at = word(sample, "Make images of a model.")
    at.add_argument("weights", type=file, metavar="WEIGHTS", help="model, e.g. results/runs/<run>/last.safetensors")
    at.add_argument("--n", type=whole_number(1), default=16, help="images (16)")
    at.add_argument("--nfe", type=whole_number(1), default=50, help="network evaluations for each image (50)")
    at.add_argument(
        "--sampler",
        choices=SAMPLERS,
        default="dpm_solver",
        help="how noise becomes images (dpm_solver)",
    )
    at.add_argument("--class", dest="label", type=whole_number(0), metavar="CLASS", help="class of all images, from 0")
    at.add_argument("--seed", type=whole_number(0), default=0, help="seed of the noise (0)")
    at.add_argument("--out", type=Path, required=True, help="picture of all (.png), or a folder of single ones")

    at = word(fid, "Distance of two sets of images: folders, or archives of the pipeline.")
    at.add_argument("images", type=file_or_folder, metavar="IMAGES", help="folder of JPEG and PNG files, or .zip")
    at.add_argument("reference", type=file_or_folder, metavar="REFERENCE", help="the same")
    fetched = ", ".join(name for name, extractor in EXTRACTORS.items() if extractor.weights)
    text = f"feature network; inception (the default) gives FID; weights of {fetched} are fetched once"
    at.add_argument("--extractor", choices=EXTRACTORS, default="inception", help=text)

    at = word(encode, "Coefficients of an image, and what the dropped ones cost.")
    at.add_argument("image", type=file, metavar="IMAGE", help="JPEG or PNG; its middle square is taken")
    at.add_argument("--block-size", type=whole_number(1), default=4, metavar="B", help="side of a block in pixels (4)")
    at.add_argument("--drop", type=whole_number(0), default=0, metavar="M", help="coefficients dropped of B*B (0)")
    at.add_argument("--eta", type=positive, help="what coefficients are divided by (128 B, with which none is clipped)")
    at.add_argument("--out", type=named(".npz"), required=True, help="coefficients, .npz")

    at = word(decode, "The image of coefficients.")
    at.add_argument("coefficients", type=file, metavar="COEFFICIENTS", help=".npz of encode")
    at.add_argument("--out", type=named(".png"), required=True, help="image, .png")

    at = word(info, "What a weights file holds.")
    at.add_argument("weights", type=file, metavar="WEIGHTS", help="model, .safetensors")

    word(doctor, "Look whether this machine can run the suite of params.yaml.")
    return whole


def main() -> None:
    arguments = parser().parse_args()
    arguments.work(arguments)


def run() -> None:
    warnings.formatwarning = lambda message, *rest, **names: f"warning: {message}\n"
    run_command(main)


if __name__ == "__main__":
    run()
