"""Keep results whose code was edited since, because the edit is judged harmless.

``make keep STAGES="sample evaluate" WHY="an error message"`` calls it; without STAGES all stages
keep. Only the edit of the code is passed over: results whose params or inputs changed are made anew.
"""

from collections import Counter

from dctdiff.params.jobs import STAGES, edited_code, jobs_of
from dctdiff.params.status import why_stale
from dctdiff.params.suite import read_params, validated
from dctdiff.pipeline.command import OneLineParser, run_command
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import read_json
from dctdiff.pipeline.kept import FILE, counts_as, read_kept, write_kept
from dctdiff.pipeline.record import commit, now, record_path


def made_by(suite: dict, stage: str) -> dict[str, Counter]:
    """Digest of the code now -> how many results of a stage that are of now but for the code are there of each code."""
    found: dict[str, Counter] = {}
    for name in [name for other, name in jobs_of(suite) if other == stage]:
        if why_stale(suite, stage, name) in (None, "code"):
            code = edited_code(suite, stage, name)
            found.setdefault(code, Counter())[read_json(record_path(stage, name))["code"]] += 1
    return found


def keep(suite: dict, stages: list[str], why: str) -> list[str]:
    """Write the judgements; a line per stage in which anything is kept."""
    kept, lines = read_kept(), []
    for stage in stages:
        n_kept = 0
        for code, makers in made_by(suite, stage).items():
            (maker, _), *_ = makers.most_common()
            if maker == counts_as(code, kept):
                continue
            n_kept += makers[maker]
            # Of the code now nothing may lead back to itself, if it was kept before and an edit was undone.
            kept = {digest: entry for digest, entry in kept.items() if digest not in (maker, code)}
            if maker != code:
                kept[code] = {"as": maker, "stage": stage, "why": why, "date": now(), "commit": commit()}
        if n_kept:
            lines.append(f"{stage}: {n_kept} results of earlier code are kept")
    if lines:
        write_kept(kept)
    return lines


def main() -> None:
    parser = OneLineParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stages", nargs="*", default=[], help="none: all")
    parser.add_argument("--why", default="", help="what was edited, and why it changes no result")
    arguments = parser.parse_args()
    for stage in arguments.stages:
        if stage not in STAGES:
            raise UserError(f"STAGES has {stage!r}, but the stages are {', '.join(STAGES)}")
    if not arguments.why.strip():
        raise UserError('WHY is missing; say why the edit changes no result: make keep WHY="an error message"')
    params = read_params("params.yaml")
    validated(params, "params.yaml")
    lines = keep(params["suite"], arguments.stages or list(STAGES), arguments.why.strip())
    if not lines:
        raise UserError("no result is there that an edit of the code has made stale, so there is nothing to keep")
    print("\n".join([*lines, f"The judgement stands in {FILE}; commit it with your edit."]))


if __name__ == "__main__":
    run_command(main)
