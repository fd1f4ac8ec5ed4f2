"""Write a trained model as one small file with its card: what it is, what it cost and how good it is.

Not a stage: no result depends on it. ``python -m dctdiff.commands.ship --cell <cell> --out_model
data/shipped/<name>.safetensors`` takes the run of a cell whose results are of now. Weights are rounded to
float16, which keeps 11 bits of each (bf16 keeps 8); the card lies beside them and ends in the keys that import them.
``--dataset`` with ``--out_reference`` rounds the statistics of a data set in the same way, so that samples can be
measured where the images are not.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from tabulate import tabulate

from dctdiff.metrics.features import evenly_spaced
from dctdiff.models.config import ModelConfig
from dctdiff.models.release import check_weights
from dctdiff.models.weights import read_model, save_model
from dctdiff.params.forms import Evaluation, TrainedLine
from dctdiff.params.status import whys_stale
from dctdiff.params.suite import read_params, validated
from dctdiff.pipeline.arrays import read_arrays
from dctdiff.pipeline.command import OneLineParser, run_command
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import read_json, read_json_lines, replacing, sha256, write_text
from dctdiff.pipeline.record import Record, record_path
from dctdiff.registry.networks import NETWORKS
from dctdiff.stages.evaluate import AGAIN, load_reference_features

PARAMS = "params.yaml"
# What the keys that import the file say again.
REPEATED = (
    "network", "framework", "embed_dim", "depth", "num_heads", "prediction", "num_classes", "snr_scale", "batch_size",
)  # fmt: skip
N_FEATURES = 150  # enough to tell pictures from noise by KID
IMPORTED = ("dct", "pixel")  # spaces that a release can have without more files


def rounded(path: Path) -> tuple[dict[str, torch.Tensor], ModelConfig]:
    """Weights in float16, and their config; a UserError if one is too large for it."""
    weights, config = read_model(path)
    if config.space not in IMPORTED:
        raise UserError(
            f"{path} is in the space {config.space}, but only {' and '.join(IMPORTED)} can be imported again"
        )
    weights = {name: tensor.half() for name, tensor in weights.items()}
    check_weights(path, weights, config)
    if wide := [name for name, tensor in weights.items() if not torch.isfinite(tensor).all()]:
        raise UserError(f"{path}: {wide[0]} has values above 65504, the largest of float16; train with a lower lr")
    return weights, config


def write_rounded_reference(path: Path, reference: Path) -> None:
    """Mean, covariance and some of the features in float16; all of these would be most of the bytes."""
    arrays = read_arrays(reference, ("mu", "sigma", "protocol"), AGAIN)
    protocol = arrays.pop("protocol")
    features = load_reference_features(reference, len(arrays["mu"]))
    if features is not None:
        arrays["features"] = features[evenly_spaced(len(features), N_FEATURES)]
    with np.errstate(over="ignore"):  # said below
        halves = {name: array.astype(np.float16) for name, array in arrays.items()}
    if not all(np.isfinite(half).all() for half in halves.values()):
        raise UserError(f"{reference} holds values above 65504, the largest of float16; ship it as it is")
    with replacing(path) as temporary:
        np.savez_compressed(temporary, **halves, protocol=protocol)


def card(file: Path, weights: dict, config: ModelConfig, run: dict, evaluation: dict, log: dict, record: dict) -> str:
    """Markdown. ``run``: its slice of params.yaml; ``evaluation``, ``log``, ``record``: what its jobs have left."""
    images, protocol, metric = evaluation["images"], evaluation["protocol"], evaluation["protocol"]["metric"]
    labels = f", {config.num_classes} classes" if config.num_classes else ""
    size = f"{config.resolution} x {config.resolution} pixels"
    shape = f"width {config.embed_dim}, depth {config.depth}, {config.num_heads} heads"
    n_parameters = sum(weight.numel() for weight in weights.values())
    n_reference = protocol["reference_n_images"]
    reference = f"{n_reference:,} training images" if n_reference else "published statistics"
    rows = {
        "file": f"{file.name}, {file.stat().st_size / 1e6:.2f} MB, float16",
        "SHA-256": sha256(file),
        "network": f"{NETWORKS[config.network_kind].words}, {n_parameters / 1e6:.2f} million parameters, {shape}",
        "space": f"{config.space}, {size}{labels}, SNR scale {config.snr_scale}",
        "predicts": config.prediction,
        "training": f"{log['step']:,} steps of {run['batch_size']} images ({log['images']:,} in all)",
        "time": f"{log['seconds'] / 3600:.2f} hours, {log['precision']}, on {record['processes']} x {log['device']}",
        "made": f"{record['date']}, commit {record['commit'] or 'not known'}",
        metric: f"{evaluation['value']:.2f}, of {evaluation['n_images']:,} samples in {images['precision']} "
        f"({images['sampler']}, NFE {images['nfe']}), before the weights were rounded",
        "measured": f"features at {protocol['feature_resolution']} pixels, against {reference}",
    }
    return (
        f"# {file.stem}\n\nA model that came out of the pipeline of this repository. Written by "
        f"`dctdiff.commands.ship` from the records of its jobs.\n\n"
        f"{tabulate(rows.items(), ('what', 'value'), tablefmt='pipe', disable_numparse=True)}\n\n"
        f'## How to use it\n\n```python\nimport dctdiff\n\nmodel = dctdiff.load_model("{file.as_posix()}")\n'
        f"images = dctdiff.sample(model, 16, nfe=20)\n```\n\n"
        f"In params.yaml, under a name of your choice below `imports`:\n\n```yaml\n"
        f"{importer(file, config, run)}```\n"
    )


def importer(file: Path, config: ModelConfig, run: dict) -> str:
    """The keys that import the file."""
    codec = ("patch_size",) if config.space == "pixel" else ("block_size", "kept_coefficients")
    release = {"file": file.as_posix(), "sha256": sha256(file), "train_steps": run["train_steps"]}
    release |= {key: getattr(config, key) for key in ("resolution", *codec)}
    keys = {"weights": "published"} | {key: run[key] for key in REPEATED if run.get(key) is not None}
    return (
        "".join(f"{key}: {value}\n" for key, value in keys.items())
        + "release:\n"
        + "".join(f"  {key}: {value}\n" for key, value in release.items())
    )


def trained_run(document: dict, cell: str) -> tuple[str, dict]:
    """Name and slice of the run of a cell; a UserError unless it was trained and evaluated with the params of now."""
    suite = validated(document, PARAMS).suite
    if cell not in suite.cells:
        raise UserError(f"--cell is {cell}, but should be one of {', '.join(suite.cells)}")
    name = suite.cells[cell].run
    if suite.runs[name].weights != "trained":
        raise UserError(f"the run {name} was imported, not trained; take the file that it imports")
    if reason := whys_stale(document["suite"])["evaluate", cell]:
        raise UserError(f"the cell {cell} is not of now ({reason}); run the pipeline first")
    return name, suite.runs[name].model_dump()


def ship_model(document: dict, cell: str, path: Path) -> None:
    """Write the model of a cell, and its card beside it, which is also printed."""
    if path.suffix != ".safetensors":
        raise UserError(f"--out_model is {path}, but should end in .safetensors")
    name, run = trained_run(document, cell)
    weights, config = rounded(Path(f"results/runs/{name}/{document['suite']['cells'][cell]['checkpoint']}.safetensors"))
    save_model(path, weights, config, torch.float16)
    evaluation = read_json(f"results/evaluations/cells/{cell}.json", Evaluation)
    log = read_json_lines(f"results/training/{name}.jsonl", TrainedLine)[-1]
    record = read_json(record_path("weights", name), Record)
    shown = card(path, weights, config, run, evaluation, log, record)
    write_text(path.with_suffix(".md"), shown)
    print(shown)


def ship_reference(document: dict, dataset: str, path: Path) -> None:
    """Write the statistics of a data set; a UserError unless they are those of the params of now."""
    suite = validated(document, PARAMS).suite
    if dataset not in suite.datasets:
        raise UserError(f"--dataset is {dataset}, but should be one of {', '.join(suite.datasets)}")
    if reason := whys_stale(document["suite"])["reference", dataset]:
        raise UserError(f"the reference of {dataset} is not of now ({reason}); run the pipeline first")
    write_rounded_reference(path, Path(f"data/{dataset}/reference.npz"))


def main() -> None:
    parser = OneLineParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cell", help="key of suite.cells: whose run, with its distance in the card")
    parser.add_argument("--out_model", type=Path, metavar="PATH", help="the file, .safetensors")
    parser.add_argument("--dataset", help="key of suite.datasets: whose statistics, of the extractor of the suite")
    parser.add_argument("--out_reference", type=Path, metavar="PATH", help="the statistics, .npz")
    asked: argparse.Namespace = parser.parse_args()
    pairs = [(ship_model, asked.cell, asked.out_model), (ship_reference, asked.dataset, asked.out_reference)]
    whole = [pair for pair in pairs if None not in pair]
    if not whole or any((name is None) != (path is None) for _, name, path in pairs):
        raise UserError("give --cell with --out_model, --dataset with --out_reference, or all four")
    document = read_params(PARAMS)
    for ship, name, path in whole:
        ship(document, name, path)


if __name__ == "__main__":
    run_command(main)
