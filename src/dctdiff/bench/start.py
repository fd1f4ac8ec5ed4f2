"""The time to the first training step of the model that takes longest to compile: compiled kernels kept or not."""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from dctdiff.bench.measuring import write_result
from dctdiff.pipeline.files import read_json

RUN = "ffhq256-dctdiff-m"


def first_step_seconds(cache: str, folder: str) -> float:
    result = Path(folder) / "training.json"
    command = [sys.executable, "-m", "dctdiff.bench.training", RUN, "--out", str(result)]
    subprocess.run(command, env={**os.environ, "TORCHINDUCTOR_CACHE_DIR": cache}, check=True)
    return read_json(result)["models"][0]["first_step_seconds"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True)
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory() as cache, tempfile.TemporaryDirectory() as folder:
        cold, warm = (first_step_seconds(cache, folder) for _ in range(2))
    write_result(out, {"run": RUN, "first_step_seconds_empty_cache": cold, "first_step_seconds_full_cache": warm})


if __name__ == "__main__":
    main()
