"""Let DVC take over what Snakemake has made, as ``dvc commit --force`` does; ``make commit`` calls it.

That refuses as soon as a file is gone, such as the packed images after a pull. Here a stage that lacks one stays in
dvc.lock as it stands there, if DVC knows all that is left of it.
"""

from dvc.output import Output
from dvc.repo import Repo, lock_repo
from dvc.stage import Stage

from dctdiff.pipeline.command import run_command
from dctdiff.pipeline.errors import UserError


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


def main() -> None:
    repo = Repo()
    with lock_repo(repo):
        take_over(repo)


if __name__ == "__main__":
    run_command(main)
