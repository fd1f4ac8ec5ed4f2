"""What each job of a plan is to be given on a cluster: GPUs, nodes, cores, minutes, memory and disk.

Computed from the plan and workflow/machine.yaml. Generous, since a job that asks for too much waits a little, and
one that asks for too little dies. A training that outlasts the limit of the partition goes on in its next job.
"""

import math

from dctdiff.models.config import config_of
from dctdiff.models.cost import parameters
from dctdiff.models.forecast import COPIES, FLOAT_BYTES, H100_FLOP_S, REACHED, disk_bytes, n_train, network_flops
from dctdiff.params.machine import Machine
from dctdiff.params.resources import Needs

ON_GPU = {"latents", "reference", "select", "sample", "evaluate_heldout", "evaluate_round_trip", "evaluate",
          "truncation", "upsampling"}  # fmt: skip
MARGIN = 2  # on a forecast of minutes, which is rough
START_MINUTES = 15  # imports from a slow file system, compilation, a first look at the inputs
PIXELS_PER_SECOND = 4e6  # of one core that reads, crops or writes JPEG
BASE_MB = 8000  # PyTorch with CUDA, and what a stage holds
MB = 1e6


def needs_of(plan: dict, extractor: dict, machine: Machine) -> dict[tuple[str, str], Needs]:
    """(stage, name) -> needs, of the jobs of named stages. ``plan``: as the plan stage writes it."""
    flops, disk, pixels = network_flops(plan, extractor), disk_bytes(plan), _pixels(plan)
    found = {}
    for job in flops.keys() | pixels.keys():
        stage, name = job
        processes = _processes(plan, machine, stage, name)
        on_gpu = machine.gpus_per_node > 0 and _on_gpu(plan, stage, name)
        nodes = machine.nodes_for(processes)
        speed = machine.speed * processes * H100_FLOP_S * REACHED["cuda"]
        seconds = flops.get(job, 0.0) / speed
        minutes = START_MINUTES + MARGIN * (seconds + pixels.get(job, 0) / PIXELS_PER_SECOND) / 60
        per_node = processes // nodes
        weights = COPIES * FLOAT_BYTES * parameters(config_of(plan, name)) / MB if stage == "weights" else 0
        found[job] = Needs(
            processes=processes,
            gpus=processes if on_gpu else 0,
            nodes=nodes,
            cpus_per_node=machine.cpus_per_process * per_node,
            minutes=min(math.ceil(minutes), machine.limit_minutes),
            memory_mb=math.ceil(per_node * (BASE_MB + weights)),
            disk_mb=math.ceil(disk.get(job, 0) / MB),
            forecast_seconds=seconds,
        )
    return found


def _processes(plan: dict, machine: Machine, stage: str, name: str) -> int:
    if stage == "select" or _is_training(plan, stage, name):
        return machine.of_run(name)
    if stage == "sample" or stage.startswith("evaluate"):
        return machine.of_cell(name)
    return machine.processes_per_cell if stage == "reference" else 1


def _on_gpu(plan: dict, stage: str, name: str) -> bool:
    through_autoencoder = stage == "round_trip" and plan["codecs"][name]["space"] == "latent"
    return stage in ON_GPU or through_autoencoder or _is_training(plan, stage, name)


def _is_training(plan: dict, stage: str, name: str) -> bool:
    return stage == "weights" and plan["runs"][name]["weights"] == "trained"


def _pixels(plan: dict) -> dict[tuple[str, str], float]:
    """(stage, name) -> pixels that a job reads or writes as JPEG."""
    found: dict[tuple[str, str], float] = {}
    side = {name: dataset["crop"]["resolution"] for name, dataset in plan["datasets"].items()}
    all_images = {name: n_train(dataset) * side[name] ** 2 for name, dataset in plan["datasets"].items()}
    for name in plan["datasets"]:
        found |= {(stage, name): all_images[name] for stage in ("crop", "pack", "reference", "evaluate_heldout")}
    for name, codec in plan["codecs"].items():
        found["statistics", name] = found["round_trip", name] = all_images[codec["dataset"]]
        if codec["space"] == "latent":
            found["latents", name] = all_images[codec["dataset"]]
    for name, spectrum in plan["spectra"].items():
        found["spectrum", name] = all_images[spectrum["dataset"]]
    for name, run in plan["runs"].items():
        found["weights", name] = all_images[run["dataset"]]
    for name, cell in plan["cells"].items():
        found["sample", name] = found["evaluate", name] = (
            cell["n_images"] * config_of(plan, cell["run"]).resolution ** 2
        )
    return found
