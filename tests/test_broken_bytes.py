"""Random flips and cuts of each kind of file that is read: the same content, or one line, and nothing else."""

import io
import json
import random

import numpy as np
import pytest
import torch
from PIL import Image

from dctdiff.data.archive import read_entries, read_record, write_archive
from dctdiff.models.config import ModelConfig
from dctdiff.models.release import read_state_dict
from dctdiff.models.weights import read_model, save_model
from dctdiff.params.forms import LogLine, Truncation
from dctdiff.pipeline.arrays import read_arrays
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import read_json, read_json_lines

N_BROKEN = 150  # of each kind


def image_archive(path):
    entries = []
    for index in range(3):
        file = io.BytesIO()
        Image.fromarray(np.full((4, 4, 3), 40 * index, np.uint8)).save(file, "PNG")
        entries.append((f"{index}.png", file.getvalue()))
    write_archive(path, entries, {"stage": "crop", "seed": 7})


def released(path):
    torch.save({"norm.weight": torch.ones(5), "norm.bias": torch.zeros(5)}, path)


def model(path):
    config = ModelConfig("pixel", 4, embed_dim=4, depth=2, num_heads=1, snr_scale=1.0, patch_size=2)
    save_model(path, {"norm.weight": torch.ones(5), "norm.bias": torch.zeros(5)}, config)


def truncation(path):
    protocol = {"metric": "FD", "extractor_sha256": "0", "feature_resolution": 32}
    curve = [{"m": 0, "kept": 4, "value": 0.25}]
    found = {"block_size": 2, "bound": 0.5, "n_images": 3, "curve": curve, "m_star": 0, "protocol": protocol}
    path.write_text(json.dumps(found))


def log(path):
    line = {"step": 1, "images": 2, "loss": 0.5, "seconds": 1.5, "precision": "fp32", "device": "CPU"}
    path.write_text((json.dumps(line) + "\n") * 2)


KINDS = {  # how a file is written and read, and whether a sum in it tells of each change of its content
    "safetensors": (model, read_model, True),
    "pth": (released, read_state_dict, False),
    "npz": (lambda path: np.savez(path, mu=np.arange(9.0)), lambda path: read_arrays(path, ["mu"], "again"), True),
    "compressed.npz": (
        lambda path: np.savez_compressed(path, mu=np.arange(99.0)),
        lambda path: read_arrays(path, ["mu"], "again"),
        True,
    ),
    "json": (truncation, lambda path: read_json(path, Truncation), False),
    "jsonl": (log, lambda path: read_json_lines(path, LogLine), False),
    "zip": (image_archive, read_record, False),
    "images.zip": (image_archive, lambda path: list(read_entries(path)), False),
}


def broken(content: bytes, chance: random.Random) -> bytes:
    """With one bit flipped, or cut, or with some bytes of chance in it."""
    at = chance.randrange(len(content))
    kind = chance.randrange(3)
    if kind == 0:
        return content[:at] + bytes([content[at] ^ 1 << chance.randrange(8)]) + content[at + 1 :]
    if kind == 1:
        return content[:at]
    return content[:at] + chance.randbytes(4) + content[at + 4 :]


@pytest.mark.parametrize("kind", KINDS)
def test_broken_bytes_end_in_one_line(tmp_path, kind):
    write, read, has_sum = KINDS[kind]
    path = tmp_path / f"file.{kind}"
    write(path)
    content, whole = path.read_bytes(), repr(read(path))
    chance, n_refused = random.Random(0), 0
    for _ in range(N_BROKEN):
        path.write_bytes(broken(content, chance))
        try:
            found = repr(read(path))
        except UserError as error:
            n_refused += 1
            assert "\n" not in str(error) and path.name in str(error)
        else:
            assert found == whole or not has_sum
    assert n_refused > N_BROKEN / 4
