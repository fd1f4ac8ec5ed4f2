"""The sample stage as a process."""

import dataclasses

import torch

from dctdiff.data.archive import class_labels, image_names, read_images, read_record
from dctdiff.diffusion.draws import label_per_image
from dctdiff.models.config import ModelConfig
from dctdiff.models.weights import save_model
from dctdiff.params.sample import Cell
from dctdiff.stages.sample import file_names
from engines import run

CONFIG = ModelConfig(
    space="dct", resolution=8, block_size=2, kept_coefficients=4, eta=240.0,
    embed_dim=16, depth=2, num_heads=2, snr_scale=4.0,
)  # fmt: skip


CONDITIONAL = dataclasses.replace(CONFIG, class_counts=(3, 1, 2))
CELL = {
    "run": "r", "reference": "d", "checkpoint": "last", "sampler": "euler_ode", "nfe": 3, "n_images": 7,
    "batch_size": 4, "jpeg_quality": 95, "seed": 1,
}  # fmt: skip


def sampled(folder, config, processes=1, **changes):
    """Run the stage on random weights; returns the path of its archive."""
    network = config.network()
    network.initialise(torch.Generator().manual_seed(0))
    save_model(folder / "last.safetensors", network.state_dict(), config)
    flags = [word for key, value in {**CELL, **changes}.items() for word in (f"--{key}", value)]
    (folder / "workflow").mkdir(exist_ok=True)
    (folder / "workflow/machine.yaml").write_text(f"processes_per_cell: {processes}\n")
    run(
        folder, "python", "-m", "dctdiff.stages.sample", "--weights", "last.safetensors", *map(str, flags),
        "--out_samples", f"{processes}.zip", "--out_grid", f"{processes}.png",
    )  # fmt: skip
    return folder / f"{processes}.zip"


def test_names_are_numbers_and_with_classes_the_label_first():
    cell = Cell.model_validate({**CELL, "n_images": 30})
    assert list(file_names(CONFIG, cell).values())[:2] == ["00000000.jpg", "00000001.jpg"]
    names = file_names(CONDITIONAL, cell)
    labels = label_per_image(1, range(30), (3, 1, 2))
    assert names == {index: f"{label:04d}_{index:08d}.jpg" for index, label in enumerate(labels)}
    assert list(names.values()) == sorted(names.values())


def test_two_processes_make_the_same_images(tmp_path):
    """With a label and fresh noise for each image."""
    paths = [sampled(tmp_path, CONDITIONAL, processes, sampler="ddpm") for processes in (1, 2)]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert read_images(paths[0]).shape == (7, 8, 8, 3)
    assert class_labels(image_names(paths[0]))[1] == ["0000", "0001", "0002"]
    assert read_record(paths[0])["model"]["num_classes"] == 3
