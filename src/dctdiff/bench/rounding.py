"""How far bf16, fp16 and the tanh form of GELU move what a network of random weights predicts."""

import argparse
import functools
from unittest import mock

import torch
import torch.nn.functional as F

from dctdiff.bench.measuring import write_result
from dctdiff.bench.shapes import run_and_config
from dctdiff.diffusion.schedule import NETWORK_TIME
from dctdiff.models.execution import prepared_for_sampling
from dctdiff.params.execution import Execution

RUN, N_IMAGES = "cifar10-dctdiff-s", 16
WAYS = {
    "bf16": (Execution(mixed_precision="bf16", compile="never"), "none"),
    "fp16": (Execution(mixed_precision="fp16", compile="never"), "none"),
    "float32 with the tanh form of GELU": (Execution(mixed_precision="float32"), "tanh"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True)
    out = parser.parse_args().out
    generator = torch.Generator().manual_seed(0)
    _, config = run_and_config(RUN)
    network = config.network().eval()
    network.initialise(generator)
    x = torch.randn(N_IMAGES, *config.codec().shape, generator=generator)
    t = torch.rand(N_IMAGES, generator=generator) * NETWORK_TIME

    def predicted(execution: Execution, approximate: str) -> torch.Tensor:
        gelu = functools.partial(F.gelu, approximate=approximate)
        with torch.inference_mode(), mock.patch("dctdiff.networks.uvit.F.gelu", gelu):
            return prepared_for_sampling(network, execution)(x, t)

    exact = predicted(Execution(mixed_precision="float32"), "none")
    distances = {way: ((predicted(*how) - exact).norm() / exact.norm()).item() for way, how in WAYS.items()}
    write_result(out, {"run": RUN, "relative_distance": distances})


if __name__ == "__main__":
    main()
