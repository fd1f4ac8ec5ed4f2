"""The stages reference, evaluate and select on two processes: the bytes of one, and one line for a damaged image."""

import json

import numpy as np
import pytest
import torch

from dctdiff.data.archive import encode_jpeg, read_entries, write_archive
from dctdiff.models.config import ModelConfig
from dctdiff.models.weights import save_model
from engines import run

CONFIG = ModelConfig(
    space="dct", resolution=8, block_size=2, kept_coefficients=4, eta=240.0,
    embed_dim=16, depth=2, num_heads=2, snr_scale=4.0,
)  # fmt: skip
EXTRACTOR = {"extractor": "efficientnet-lite0", "feature_resolution": 32, "batch_size": 5}
SELECTION = {
    "reference": "d", "sampler": "ddpm", "nfe": 2, "n_images": 11, "sample_batch_size": 3, "jpeg_quality": 95, "seed": 1
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (18, 8, 8, 3), dtype=np.uint8)
    write_archive(
        tmp_path / "images.zip", [(f"{i:02d}.jpg", encode_jpeg(image, 95)) for i, image in enumerate(images)], {}
    )
    for step in (100, 200):
        network = CONFIG.network()
        network.initialise(torch.Generator().manual_seed(step))
        save_model(tmp_path / f"checkpoints/{step:09d}.safetensors", network.state_dict(), CONFIG)
    return tmp_path


def command(stage: str, **flags) -> list[str]:
    return ["python", "-m", f"dctdiff.stages.{stage}", *(f"--{name}={value}" for name, value in flags.items())]


def reference(out: str, **changes) -> list[str]:
    return command("reference", images="images.zip", **{**EXTRACTOR, "n_images": 17, **changes}, out_reference=out)


def evaluate(out: str, reference: str) -> list[str]:
    return command("evaluate", images="images.zip", reference=reference, **EXTRACTOR, out_evaluation=out)


def select(out: str, reference: str) -> list[str]:
    return command(
        "select", checkpoints="checkpoints", reference_file=reference, **SELECTION, **EXTRACTOR,
        out_weights=f"{out}/best.safetensors", out_selection=f"{out}/selection.json",
    )  # fmt: skip


def share(folder, processes: int) -> None:
    (folder / "workflow").mkdir(exist_ok=True)
    text = f"processes_per_run: {processes}\nprocesses_per_cell: {processes}\n"
    (folder / "workflow/machine.yaml").write_text(text)


def results(folder, processes: int) -> dict[str, bytes]:
    """What the stages write, by name."""
    share(folder, processes)
    out = folder / str(processes)
    run(folder, *reference(f"{out}/reference.npz"))
    run(folder, *evaluate(f"{out}/evaluation.json", f"{out}/reference.npz"))
    run(folder, *select(str(out), f"{out}/reference.npz"))
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def test_two_processes_make_the_results_of_one(folder):
    one, two = (results(folder, processes) for processes in (1, 2))
    assert one.keys() == two.keys() and {"evaluation.json", "reference.npz", "selection.json"} < one.keys()
    for name, content in one.items():
        assert two[name] == content, name
    values = [candidate["value"] for candidate in json.loads(one["selection.json"])["candidates"]]
    assert len(set(values)) == 2 and json.loads(one["evaluation.json"])["n_images"] == 18


def test_a_damaged_image_of_the_second_process_is_one_line(folder):
    """And so is one of the first; nothing is written."""
    share(folder, 2)
    run(folder, *reference("reference.npz"))
    before = sorted(path.name for path in folder.iterdir())
    for number in (7, 12):  # in the second batch of five, and in the third
        entries = list(read_entries(folder / "images.zip"))
        write_archive(
            folder / "images.zip", [(name, b"" if name == f"{number:02d}.jpg" else c) for name, c in entries], {}
        )
        for words in (reference("other.npz", n_images=18), evaluate("evaluation.json", "reference.npz")):
            output = run(folder, *words, fails=True)
            [error] = [
                line for line in output.splitlines() if line and not line.startswith(("reference ", "evaluate "))
            ]
            assert error.startswith(f"error: images.zip: {number:02d}.jpg cannot be decoded"), output
        write_archive(folder / "images.zip", entries, {})
    assert sorted(path.name for path in folder.iterdir()) == before
