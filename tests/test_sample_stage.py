"""The sample stage as a process."""

import numpy as np
import torch

from dctdiff.archive import read_images, read_record
from dctdiff.model import ModelConfig, save_model
from dctdiff.stages.sample import share
from engines import run

CONFIG = ModelConfig(
    space="dct", resolution=8, block_size=2, kept_coefficients=4, eta=240.0,
    embed_dim=16, depth=2, num_heads=2, snr_scale=4.0,
)  # fmt: skip


def test_shares_cover_all_images_once():
    assert [list(share(7, rank, 3)) for rank in range(3)] == [[0, 1], [2, 3], [4, 5, 6]]


def test_two_processes_make_the_same_images(tmp_path):
    network = CONFIG.network()
    network.initialise(torch.Generator().manual_seed(0))
    save_model(tmp_path / "ema.safetensors", network.state_dict(), CONFIG)
    for processes in ("1", "2"):
        run(
            tmp_path, "python", "-m", "dctdiff.stages.sample", "--weights", "ema.safetensors", "--run", "r",
            "--reference", "d", "--sampler", "euler_ode", "--nfe", "3", "--n_images", "7", "--batch_size", "4",
            "--jpeg_quality", "95", "--seed", "1", "--processes", processes,
            "--out_samples", f"{processes}.zip", "--out_grid", f"{processes}.png",
        )  # fmt: skip
    one, two = read_images(tmp_path / "1.zip"), read_images(tmp_path / "2.zip")
    assert one.shape == (7, 8, 8, 3)
    assert np.abs(one.astype(int) - two).mean() < 0.1
    assert read_record(tmp_path / "1.zip") == read_record(tmp_path / "2.zip")
    assert not list(tmp_path.glob("*part*"))
