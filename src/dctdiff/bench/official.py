"""The same work done by the authors' code, from a checkout of github.com/forever208/DCTdiff.

It needs einops, opencv-python, absl-py and torchvision beside this environment.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from dctdiff.bench.codec import SIZES
from dctdiff.bench.measuring import gpu_seconds, write_result
from dctdiff.bench.shapes import SAMPLED, TRAINED, run_and_config
from dctdiff.data.archive import encode_jpeg
from dctdiff.pipeline.hardware import import_torchvision
from dctdiff.spaces.zigzag import zigzag

ETA = 250.0
SECONDS = 3.0  # of each measurement of the codec
EMA_RATE = 0.9999


def rate(function, arguments) -> float:
    """Calls per second, one argument after the other, over and over."""
    started, calls = time.monotonic(), 0
    while time.monotonic() - started < SECONDS:
        function(arguments[calls % len(arguments)])
        calls += 1
    return calls / (time.monotonic() - started)


def codec_rates(resolution: int, block_size: int, kept: int) -> dict[str, float]:
    """Images per second of one core; encoding starts from a JPEG file, as the authors' loader does."""
    import datasets
    import utils

    order = zigzag(block_size)
    tokens = (resolution // (2 * block_size)) ** 2
    shared = {"tokens": tokens, "low_freqs": kept, "reverse_order": np.argsort(order).tolist(), "Y_bound": [ETA]}
    generator = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "class").mkdir()
        for index in range(20):
            image = generator.integers(0, 256, (resolution, resolution, 3), dtype=np.uint8)
            (Path(folder) / f"class/{index}.jpg").write_bytes(encode_jpeg(image, 75))
        dataset = datasets.DCT_4YCbCr(folder, img_sz=resolution, block_sz=block_size, low2high_order=order, **shared)
        encode = rate(dataset.__getitem__, range(20))
        samples = [dataset[index].numpy() for index in range(20)]
    decode = rate(
        lambda sample: utils.DCT_to_RGB(sample, block_sz=block_size, resolution=resolution, **shared), samples
    )
    return {"encode_images_per_second": encode, "decode_images_per_second": decode}


def network_rates(name: str) -> dict[str, float]:
    """Images per second of training steps (data on the GPU already), evaluations per second of the network."""
    import sde
    import utils
    from accelerate import Accelerator
    from libs.uvit import UViT

    _, config = run_and_config(name)
    tokens, values = config.codec().shape
    made = {"tokens": tokens, "low_freqs": config.kept_coefficients, "embed_dim": config.embed_dim}
    made |= {"depth": config.depth, "num_heads": config.num_heads}
    network, ema = UViT(**made), UViT(**made)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-4, weight_decay=0.03, betas=(0.99, 0.99))
    accelerator = Accelerator(mixed_precision="fp16")
    network, ema, optimizer = accelerator.prepare(network, ema, optimizer)
    score = sde.ScoreModel(network, pred="noise_pred", sde=sde.VPSDE(SNR_scale=config.snr_scale))
    x0 = torch.randn(TRAINED[name], tokens, values, device=accelerator.device)
    weights = torch.ones(values, device=accelerator.device)

    def step():
        optimizer.zero_grad()
        loss = sde.LSimple(score, x0, pred="noise_pred", reweight=weights)
        accelerator.gather(loss.detach()).mean()
        accelerator.backward(loss.mean())
        optimizer.step()
        utils.ema(ema, network, EMA_RATE)

    trained = TRAINED[name] / gpu_seconds(step)
    x = torch.randn(SAMPLED[name], tokens, values, device=accelerator.device)
    t = torch.rand(SAMPLED[name], device=accelerator.device)
    with torch.no_grad():
        sampled = SAMPLED[name] / gpu_seconds(lambda: ema(x, t))
    return {"training_images_per_second": trained, "network_evaluations_per_second": sampled}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout")
    parser.add_argument("subjects", nargs="+", help="codec, or runs of the paper suite")
    parser.add_argument("--out", required=True)
    arguments = parser.parse_args()
    sys.path.insert(0, arguments.checkout)
    import_torchvision()
    if arguments.subjects == ["codec"]:
        torch.set_num_threads(1)
        return write_result(arguments.out, {"sizes": [{"resolution": size[0], **codec_rates(*size)} for size in SIZES]})
    write_result(arguments.out, {"models": [{"run": name, **network_rates(name)} for name in arguments.subjects]})


if __name__ == "__main__":
    main()
