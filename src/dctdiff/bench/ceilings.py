"""What the GPU can do at most: a large matrix product, and a copy of its memory."""

import argparse

import torch

from dctdiff.bench.measuring import gpu_seconds, write_result

SIDE = 8192
COPIED = 2**31  # bytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True)
    out = parser.parse_args().out
    a, b = (torch.randn(SIDE, SIDE, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    seconds = gpu_seconds(lambda: a @ b)
    source = torch.randint(0, 256, (COPIED,), dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    copy_seconds = gpu_seconds(lambda: target.copy_(source))
    write_result(out, {"matrix_tflop_s": 2 * SIDE**3 / seconds / 1e12, "copy_tb_s": 2 * COPIED / copy_seconds / 1e12})


if __name__ == "__main__":
    main()
