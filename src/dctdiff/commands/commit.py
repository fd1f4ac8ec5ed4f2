"""Let DVC take over what Snakemake has made, as ``dvc commit --force`` does; ``make commit`` calls it.

That refuses as soon as a file is gone, such as the packed images after a pull. Here a stage that lacks one stays in
dvc.lock as it stands there, if DVC knows all that is left of it.
"""

import subprocess
import sys
from pathlib import Path

from dvc.output import Output
from dvc.repo import Repo, lock_repo
from dvc.stage import Stage

from dctdiff.params.jobs import has_latents, latents_file, words_of
from dctdiff.params.suite import read_params
from dctdiff.pipeline.command import run_command
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.record import record_path


def take_over(repo: Repo) -> None:
    whole = [stage for stage in repo.index.stages if not missing(stage)]
    check_known([stage for stage in repo.index.stages if missing(stage)])
    for stage in whole:
        stage.save()
        stage.commit()
    if whole:
        whole[0].dvcfile.dump_stages(whole, update_pipeline=False)  # all at once: to write dvc.lock takes a while


def missing(stage: Stage) -> list[Output]:
    return [file for file in [*stage.deps, *stage.outs] if not file.exists]


def check_known(stages: list[Stage]) -> None:
    """A UserError if such a stage has made what DVC does not know."""
    for stage in stages:
        unknown = [out.def_path for out in stage.outs if out.exists and out.workspace_status()]
        if unknown:
            gone = missing(stage)[0].def_path
            raise UserError(
                f"DVC cannot take over {unknown[0]}, since {gone} is gone; run snakemake --cores 1 {gone}, then again"
            )


def write_empty_latents(suite: dict) -> None:
    """What DVC, which has no conditions, wants of codecs without latents and Snakemake has not made."""
    for name, codec in suite["codecs"].items():
        images, latents = f"data/{codec['dataset']}/train.zip", latents_file(name)
        if not has_latents(suite, name) and Path(images).exists() and not Path(latents).exists():
            words = ["--images", images, *words_of(suite, "latents", name), "--out_latents", latents]
            stage = [sys.executable, "-m", "dctdiff.stages.latents"]
            subprocess.run([*stage, *words, "--out_record", record_path("latents", name)], check=True)


def main() -> None:
    write_empty_latents(read_params("params.yaml")["suite"])
    repo = Repo()
    with lock_repo(repo):
        take_over(repo)


if __name__ == "__main__":
    run_command(main)
