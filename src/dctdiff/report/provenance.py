"""What made each number: the job behind each row of a table, and what its record tells."""

import shlex
from collections.abc import Iterator

from dctdiff.params.seeds import groups_of_cells
from dctdiff.registry.spaces import SPACES
from dctdiff.report.spent import Job, quality_jobs
from dctdiff.report.tables.fields import Evaluations
from dctdiff.report.tables.grid import cells_of_grids


def made_id(stage: str, name: str | None = None) -> str:
    """Of the place in the page that tells how a job was done."""
    return f"made-{stage}-{name}" if name else f"made-{stage}"


def jobs_behind(plan: dict, evaluations: Evaluations) -> dict[str, list[Job | None]]:
    """Name of a table -> the job that measured each of its rows; None of a number that others published.

    ``evaluations``: those that the tables were built from.
    """
    published = plan["published"]
    distances = {
        name: [("evaluate", row["cell"]) if "cell" in row else None for row in rows]
        for name, rows in published.get("distances", {}).items()
    }
    return distances | {
        "quality": [own[-1] for _, own, _ in quality_jobs(plan)],
        "checkpoints": list(_checkpoints(plan, evaluations)),
        "costs": [_cost(row) for row in published.get("costs", ())],
        "truncation": [
            ("truncation", name) for name, one in plan["truncations"].items() for _ in one["kept_coefficients"]
        ],
        "upsampling": [("upsampling", name) for name in plan["upsamplings"] for _ in range(4)],
        "statistics": [
            ("statistics", name) for name, codec in plan["codecs"].items() for _ in SPACES[codec["space"]].channels
        ],
        "grid": [("evaluate", name) for *_, name, _ in cells_of_grids(plan)] if plan.get("grid") else [],
        "seeds": [("evaluate", names[0]) for names in groups_of_cells(plan) if len(names) > 1],
        "training": [
            *(("weights", name) for name in plan["runs"]),
            *(("import_weights", name) for name in plan["imports"]),
        ],
    }


def _checkpoints(plan: dict, evaluations: Evaluations) -> Iterator[Job]:
    for name in plan["selections"]:
        found = evaluations["selections"].get(name)
        yield from [("select", name)] * (len(found["candidates"]) if found else 1)


def _cost(row: dict) -> Job | None:
    """Parameters and GMACs are counted where the table is built."""
    if "run" not in row:
        return None
    return ("select", row["run"]) if row["quantity"] == "steps to converge" else ("tables", None)


def made(records: dict[Job, dict]) -> list[dict]:
    """What the page tells of each job, in the order of the ``records``; files lead to the job that made them."""
    makers = {file: job for job, record in records.items() for file in record["outputs"]}
    return [
        {
            "id": made_id(*job),
            "job": " ".join(filter(None, job)),
            "command": record.get("command") or shlex.join(["python", "-m", record["module"], *record["params"]]),
            "params": pairs(record["params"]),
            "inputs": [_file(path, sha256, makers) for path, sha256 in record["inputs"].items()],
            "outputs": [_file(path, sha256, {}) for path, sha256 in record["outputs"].items()],
            **{key: record.get(key) for key in ("code", "commit", "date", "seconds", "host")},
        }
        for job, record in records.items()
    ]


def _file(path: str, sha256: str | None, makers: dict[str, Job]) -> dict:
    """A file lies in a folder that a job wrote, or is one that it wrote."""
    job = next((job for file, job in makers.items() if path == file or path.startswith(f"{file}/")), None)
    return {"path": path, "sha256": sha256, "made": made_id(*job) if job else None}


def pairs(words: list[str]) -> list[tuple[str, str]]:
    """``["--nfe", "20", "--times", "0.1", "0.5"]`` -> ``[("nfe", "20"), ("times", "0.1 0.5")]``"""
    found: list[tuple[str, list[str]]] = []
    for word in words:
        if word.startswith("--"):
            found.append((word.removeprefix("--"), []))
        elif found:
            found[-1][1].append(word)
    return [(name, " ".join(values) or "true") for name, values in found]
