"""Keep results whose code was edited since, because the edit is judged harmless.

``make keep STAGES="sample evaluate" WHY="an error message"`` calls it; without STAGES all stages
keep. Only the edit of the code is passed over: results whose params or inputs changed are made anew.
"""

from collections import Counter
from pathlib import Path

from dctdiff.params.jobs import edited_code
from dctdiff.params.suite import read_params, validated
from dctdiff.pipeline.command import OneLineParser, run_command
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import read_json
from dctdiff.pipeline.kept import FILE, counts_as, read_kept, write_kept
from dctdiff.pipeline.record import FOLDER, commit, now


def made_by(suite: dict, stage: str, records: dict[str | None, Path]) -> dict[str, Counter]:
    """Digest of the code now -> how many results of a stage are there of each code."""
    found: dict[str, Counter] = {}
    for name, path in records.items():
        code = edited_code(suite, stage, name)
        found.setdefault(code, Counter())[read_json(path)["code"]] += 1
    return found


def records_of(suite: dict, stage: str) -> dict[str | None, Path]:
    """Name -> record of each job of a stage that has run and is in the suite."""
    single = FOLDER / f"{stage}.json"
    if single.exists():
        return {None: single}
    names = {name for section in suite.values() if isinstance(section, dict) for name in section}
    return {path.stem: path for path in sorted((FOLDER / stage).glob("*.json")) if path.stem in names}


def keep(suite: dict, stages: list[str], why: str) -> list[str]:
    """Write the judgements; one line per stage on what they mean."""
    kept, lines = read_kept(), []
    for stage in stages:
        n_kept = n_others = 0
        for code, makers in made_by(suite, stage, records_of(suite, stage)).items():
            (maker, n), *_ = makers.most_common()
            n_others += makers.total() - n
            if maker == counts_as(code, kept):
                continue
            n_kept += n
            # Of the code now nothing may lead back to itself, if it was kept before and an edit was undone.
            kept = {digest: entry for digest, entry in kept.items() if digest not in (maker, code)}
            if maker != code:
                kept[code] = {"as": maker, "stage": stage, "why": why, "date": now(), "commit": commit()}
        others = f"; {n_others} of still other code will be made anew" if n_others else ""
        lines.append(f"{stage}: {n_kept} results of earlier code are kept{others}")
    write_kept(kept)
    return lines


def stages_with_records() -> list[str]:
    return sorted({path.stem for path in FOLDER.glob("*") if not path.name.startswith(".")})


def main() -> None:
    parser = OneLineParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stages", nargs="*", default=[], help="none: all")
    parser.add_argument("--why", default="", help="what was edited, and why it changes no result")
    arguments = parser.parse_args()
    known = stages_with_records()
    if not known:
        raise UserError(f"{FOLDER} holds no record of a result, so there is nothing to keep")
    for stage in arguments.stages:
        if stage not in known:
            raise UserError(f"STAGES has {stage!r}, but the stages with results are {', '.join(known)}")
    if not arguments.why.strip():
        raise UserError('WHY is missing; say why the edit changes no result: make keep WHY="an error message"')
    params = read_params("params.yaml")
    validated(params, "params.yaml")
    print("\n".join(keep(params["suite"], arguments.stages or known, arguments.why.strip())))
    print(f"The judgement stands in {FILE}; commit it with your edit.")


if __name__ == "__main__":
    run_command(main)
