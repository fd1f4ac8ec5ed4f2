"""What the jobs of a plan will need, forecast from its numbers: operations of the networks, and bytes on disk.

Only networks count: downloads, crops and statistics depend on disks and nets. The forecasts are rough, to tell
minutes from days and a full disk from an empty one.
"""

from dctdiff.models.config import config_of
from dctdiff.models.cost import forward_flops, parameters
from dctdiff.params.jobs import models_of
from dctdiff.registry.extractors import EXTRACTORS

# Multiply-accumulates of the autoencoder of latents, for each pixel: models/cost.py counts them.
ENCODER_GMACS, DECODER_GMACS = 541.15 / 512**2, 1240.08 / 512**2
IMAGE_AND_MIRROR_IMAGE = 2
BACKWARD = 3  # operations of a training step per operation of its forward
# Of the rate of a large matrix product that training and sampling reached: on an H100 docs/bench, on a CPU the demo.
REACHED = {"cuda": 0.45, "cpu": 0.35}
H100_FLOP_S = 781e12  # of a large matrix product (docs/bench/nvidia-h100-80gb-hbm3/ceilings.json)
FLOAT_BYTES = 4
N_TRAIN = (("crop", "n_train"), ("download", "n_train"), ("reference", "n_images"))  # where their number may stand
COPIES = 4  # of the parameters in a state: weights, their average and two moments
JPEG_BYTES_PER_PIXEL = 0.7  # about, at quality 95


def network_flops(plan: dict, extractor: dict) -> dict[tuple[str, str], float]:
    """(stage, name) -> floating-point operations of the jobs that run a network, in all.

    ``plan``: as the plan stage writes it; ``extractor``: the slice of the suite.
    """
    features = 2e9 * _extractor_gmacs(extractor)
    forward = {name: forward_flops(config_of(plan, name)) for name in models_of(plan)}
    latents = {name: _latent_pixels(plan, codec) for name, codec in plan["codecs"].items()}
    encoding = {name: 2e9 * ENCODER_GMACS * pixels for name, pixels in latents.items()}
    decoding = {name: 2e9 * DECODER_GMACS * pixels for name, pixels in latents.items()}
    found: dict[tuple[str, str], float] = {}
    for name, dataset in plan["datasets"].items():
        found["reference", name] = features * n_reference(dataset)
        found["evaluate_heldout", name] = features * n_heldout(dataset)
    for name, run in plan["runs"].items():
        if run["weights"] == "trained":
            encoder = encoding[run["codec"]] if run.get("encode_each_step") else 0.0
            found["weights", name] = (BACKWARD * forward[name] + encoder) * run["batch_size"] * run["train_steps"]
    for name, selection in plan["selections"].items():
        image = selection["nfe"] * forward[name] + decoding[plan["runs"][name]["codec"]] + features
        found["select", name] = n_candidates(plan["runs"][name]) * selection["n_images"] * image
    for name, cell in plan["cells"].items():
        codec = models_of(plan)[cell["run"]].get("codec")  # a model that comes as a file has no latents
        image = cell["nfe"] * forward[cell["run"]] + decoding.get(codec, 0.0)
        found["sample", name] = cell["n_images"] * image
        found["evaluate", name] = cell["n_images"] * features
    for name, codec in plan["codecs"].items():
        dataset = plan["datasets"][codec["dataset"]]
        found["evaluate_round_trip", name] = features * n_heldout(dataset)
        if codec["space"] == "latent":
            found["latents", name] = IMAGE_AND_MIRROR_IMAGE * n_train(dataset) * encoding[name]
            found["round_trip", name] = n_heldout(dataset) * (encoding[name] + decoding[name])
    for name, truncation in plan["truncations"].items():
        found["truncation", name] = (1 + len(truncation["kept_coefficients"])) * truncation["n_images"] * features
    for name, upsampling in plan["upsamplings"].items():
        found["upsampling", name] = 2 * upsampling["n_images"] * features
    return found


def disk_bytes(plan: dict) -> dict[tuple[str, str], float]:
    """(stage, name) -> bytes of its results, in all, of the stages that write much."""
    found: dict[tuple[str, str], float] = {}
    pixels = {name: dataset["crop"]["resolution"] ** 2 for name, dataset in plan["datasets"].items()}
    for name, dataset in plan["datasets"].items():
        found["crop", name] = n_train(dataset) * pixels[name] * JPEG_BYTES_PER_PIXEL
        found["pack", name] = n_train(dataset) * pixels[name] * 3
    for name, codec in plan["codecs"].items():
        if codec["space"] == "latent":  # sixteen floats for 64 pixels: a byte for each
            found["latents", name] = n_train(plan["datasets"][codec["dataset"]]) * pixels[codec["dataset"]]
    for name, run in models_of(plan).items():
        weights = FLOAT_BYTES * parameters(config_of(plan, name))
        states = COPIES * run["kept_states"] if run["weights"] == "trained" else 0
        stage = "import_weights" if name in plan["imports"] else "weights"
        found[stage, name] = weights * (1 + n_candidates(run) + states)
    for name, cell in plan["cells"].items():
        side = config_of(plan, cell["run"]).resolution
        found["sample", name] = cell["n_images"] * side**2 * JPEG_BYTES_PER_PIXEL
    return found


def _latent_pixels(plan: dict, codec: dict) -> int:
    """Pixels of an image that a codec hands to an autoencoder: none if it has none."""
    return plan["datasets"][codec["dataset"]]["crop"]["resolution"] ** 2 if codec["space"] == "latent" else 0


def n_train(dataset: dict) -> int:
    """Training images, as far as params.yaml says how many."""
    return max(filter(None, (dataset[part].get(key) for part, key in N_TRAIN)), default=0)


def n_reference(dataset: dict) -> int:
    """Images of the reference, as far as params.yaml says how many; none of published statistics."""
    reference = dataset["reference"]
    return 0 if "file" in reference else reference.get("n_images") or n_train(dataset)


def n_heldout(dataset: dict) -> int:
    """Held-out images, as far as params.yaml says how many."""
    return dataset["crop"].get("n_heldout") or dataset["download"].get("n_heldout") or 0


def n_candidates(run: dict) -> int:
    """EMA weights that a run keeps for the selection of a checkpoint; published weights are one."""
    is_trained = run["weights"] == "trained"
    return run["train_steps"] // run["candidate_steps"] if is_trained and run.get("candidate_steps") else 1


def _extractor_gmacs(extractor: dict) -> float:
    entry = EXTRACTORS[extractor["extractor"]]
    return entry.gmacs * (extractor["feature_resolution"] / entry.resolution) ** 2
