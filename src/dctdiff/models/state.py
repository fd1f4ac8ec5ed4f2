"""The state of a training run on disk: where a run goes on, and by whose decision.

Each identity of a run (``dctdiff.models.identity``) has a folder of its own, so a run whose params
are changed and changed back finds its state again. Steps that were trained by other code, or on images
that came out otherwise by the same params, are never left without asking, unless they are few: the run
stops, and a person chooses between ``go_on`` and ``start_anew``.
"""

import hashlib
import json
import math
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from dctdiff.models.identity import same_images, same_params
from dctdiff.models.weights import checkpoint_name, link_or_copy, read_model
from dctdiff.params.forms import Identity, Question, TrainedLine
from dctdiff.params.train import Run
from dctdiff.pipeline.code import differences
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import read_json, read_json_lines, sha256, write_json, writing

IDENTITY = "identity.json"
QUESTION = "question.json"  # beside the folders: what a person is to choose
N_NAMED = 3  # definitions in a message
DIGITS = 16  # of the SHA-256 of a state in its name


def state_folder(root: Path, identity: dict, train_steps: int, ask_above_steps: int) -> Path:
    """The folder under ``root`` in which a run of this ``identity`` goes on or starts.

    A UserError asks what to do about a state of more steps than ``ask_above_steps`` that was trained
    otherwise, or about one that lies beyond ``train_steps``: no one can go back from it.
    """
    own, beyond, others = [], [], []
    for folder in folders(root):
        found = _identity(folder)
        if "run" in found and not same_params(found, identity):
            continue
        if found.get("code") == identity["code"] and same_images(found, identity):
            past = latest_step(folder) and not latest_step(folder, train_steps)
            (beyond if past else own).append(folder)
        elif not found.get("left"):
            others.append(folder)
    nearest = max(own, key=lambda folder: latest_step(folder, train_steps), default=None)
    if not latest_step(nearest):
        others += [folder for folder in beyond if not _identity(folder).get("left")]
    furthest = max(others, key=latest_step, default=None)
    if furthest is not None and latest_step(furthest) > max(ask_above_steps, latest_step(nearest)):
        question = {"identity": identity, "train_steps": train_steps, "trained_otherwise": furthest.name}
        write_json(root / QUESTION, question)
        raise UserError(_question(root, furthest, identity, train_steps))
    (root / QUESTION).unlink(missing_ok=True)
    folder = nearest or _new_folder(root, identity)
    write_json(folder / IDENTITY, identity)  # no longer one that was left
    return folder


def go_on(root: Path) -> str:
    """Answer the question of a run: its next start goes on from the state of the other code. Says what it did."""
    question, old = _asked(root)
    run, train_steps = root.parent.name, question["train_steps"]
    if not latest_step(old, train_steps):
        raise UserError(
            f"{run} cannot go on: {old} has no state at or before train_steps {train_steps}, only one of "
            f"{latest_step(old)} steps; raise train_steps to that, or train anew: make anew RUN={run}"
        )
    new = _new_folder(root, question["identity"])
    made = root / f".{new.name}.tmp"
    shutil.rmtree(made, ignore_errors=True)
    for path in sorted(path for path in old.rglob("*") if path.is_file() and path.name != IDENTITY):
        target = made / path.relative_to(old)
        target.parent.mkdir(parents=True, exist_ok=True)
        # Links: states and candidates are only ever replaced, never changed in place. The log is appended to.
        (shutil.copyfile if path.suffix == ".jsonl" else link_or_copy)(path, target)
    write_json(made / IDENTITY, question["identity"])
    made.rename(new)
    _leave(old)
    (root / QUESTION).unlink()
    return f"{run} will go on from step {latest_step(new, train_steps)}"


def start_anew(root: Path) -> str:
    """Answer the question of a run: its next start does without the other state, which is kept."""
    _, old = _asked(root)
    _leave(old)
    (root / QUESTION).unlink()
    return f"{root.parent.name} will start anew; {old} keeps its {latest_step(old)} steps"


def _new_folder(root: Path, identity: dict) -> Path:
    """A name that is free; an identity may have a folder already, which did not come as far."""
    name = name_of(identity)
    taken = [folder for folder in folders(root) if folder.name.startswith(name)]
    return root / (f"{name}-{len(taken)}" if taken else name)


def name_of(identity: dict) -> str:
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def folders(root: Path) -> Iterator[Path]:
    return (path for path in sorted(root.glob("*")) if path.is_dir() and not path.name.startswith("."))


def latest_step(folder: Path | None, train_steps: float = math.inf) -> int:
    """Of the newest state in a folder at or before ``train_steps``; 0 if there is none."""
    steps = [] if folder is None else map(_step, states_in(folder))
    return max((step for step in steps if step <= train_steps), default=0)


def _identity(folder: Path) -> dict:
    """Empty for a state of a version of this project that wrote none."""
    path = folder / IDENTITY
    return read_json(path, Identity) if path.exists() else {}


def _leave(folder: Path) -> None:
    """Keep a state, for the code that has trained it, without asking about it again."""
    write_json(folder / IDENTITY, _identity(folder) | {"left": True})


def _question(root: Path, folder: Path, identity: dict, train_steps: int) -> str:
    found, run = _identity(folder), root.parent.name
    steps = f"{run} has a state of {latest_step(folder)} steps{_cost(folder)}"
    if found.get("code") == identity["code"] and same_images(found, identity):
        return (
            f"{steps}, but train_steps is {train_steps}, and no state at or before that is kept; set train_steps to "
            f"{latest_step(folder)} to keep its results, or make anew RUN={run} starts anew and keeps the state aside"
        )
    if "code" in found:
        names = differences(found["code"], identity["code"])
        more = f" and {len(names) - N_NAMED} more" if len(names) > N_NAMED else ""
        reasons = [f"by other code ({', '.join(names[:N_NAMED])}{more} differ)"] if names else []
        reasons += [] if same_images(found, identity) else ["on other images or statistics of them"]
        by = " ".join(reasons)
    else:
        by = "by an earlier version of this project, which did not record its params"
    return (
        f"{steps}, trained {by}; make continue RUN={run} goes on from it, make anew RUN={run} starts anew and keeps it "
        "aside"
    )


def _cost(folder: Path) -> str:
    """Time of a state on its processors, from the copy of its log."""
    last = _last_line(folder)
    return f" and {last['seconds'] * last.get('processes', 1) / 3600:.2g} hours of {last['device']}" if last else ""


def logged_step(folder: Path) -> int:
    """How far a run had come by the copy of its log, which a kill leaves ahead of the state; 0 if it does not say."""
    last = _last_line(folder)
    return last["step"] if last else 0


def _last_line(folder: Path) -> dict | None:
    """Of the copy of the log."""
    try:
        return read_json_lines(folder / "log.jsonl", TrainedLine)[-1]
    except UserError:  # no line yet, or half a one
        return None


def _asked(root: Path) -> tuple[dict, Path]:
    """The question of a run, and the folder that it is about."""
    if not (root / QUESTION).exists():
        raise UserError(f"{root.parent.name} asks nothing; make continue and make anew answer a run that has stopped")
    question = read_json(root / QUESTION, Question)
    old = root / question["trained_otherwise"]
    if not states_in(old):
        raise UserError(f"{old} holds no state any more; start the run again, and it will ask again if it must")
    return {"train_steps": latest_step(old)} | question, old


def candidate_path(folder: Path, step: int) -> Path:
    return folder / "candidates" / checkpoint_name(step)


def candidates(run: Run, folder: Path) -> dict[int, Path]:
    """EMA weights that a finished run has kept: step -> file, for each multiple of candidate_steps."""
    steps = range(run.candidate_steps, run.train_steps + 1, run.candidate_steps) if run.candidate_steps else ()
    paths = {step: candidate_path(folder, step) for step in steps}
    for path in paths.values():
        if not path.exists() or not _is_model(path):
            what = "damaged" if path.exists() else "gone"
            raise UserError(
                f"{path} is {what}, but the run has passed it; put a copy back, or delete {folder} to train again"
            )
    return paths


def _is_model(path: Path) -> bool:
    try:
        read_model(path)
    except UserError:
        return False
    return True


def save_state(folder: Path, state: dict, kept_states: int) -> None:
    """Write the state of ``state["progress"]["step"]``; of all states the last ``kept_states`` stay.

    Its digest is part of its name: a state with a flipped bit, or without its end, is not gone on from.
    """
    name = f"step-{state['progress']['step']:09d}"
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / ".state.tmp"  # a killed process leaves one at most: a run has one owner
    with writing(temporary), open(temporary, "wb") as file:  # given a path, torch hides why a write failed
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    path = folder / f"{name}-{sha256(temporary)[:DIGITS]}.pt"
    os.replace(temporary, path)
    for old in states_in(folder):
        if _step(old) == _step(path) and old != path:
            old.unlink()
    for old in states_in(folder)[:-kept_states]:
        old.unlink()


def load_state(folder: Path, run: Run, device: torch.device, quiet: bool = False) -> dict | None:
    """The latest whole state at or before ``train_steps``, if any; says which are damaged unless ``quiet``.

    A UserError rather than a new start if more than ``ask_above_steps`` are damaged and nothing else is kept.
    """
    paths = [path for path in states_in(folder) if _step(path) <= run.train_steps]
    where = "cpu" if device.type == "cpu" else device  # that of several processes is "cpu:0", which torch.load refuses
    for path in reversed(paths):
        if _is_whole(path):
            return torch.load(path, map_location=where, weights_only=True)
        if not quiet:
            print(f"{path} is damaged, and is passed over", file=sys.stderr)
    if paths and _step(paths[-1]) > run.ask_above_steps:
        raise UserError(
            f"{folder} keeps no state that is whole: {_step(paths[-1])} steps are damaged; put a copy of one back, or "
            "delete the folder to train from step 0"
        )
    return None


def states_in(folder: Path) -> list[Path]:
    """In the order of their steps."""
    return sorted(folder.glob("step-*.pt"), key=_step)


def _step(path: Path) -> int:
    return int(path.stem.split("-")[1])


def _is_whole(path: Path) -> bool:
    _, _, *digest = path.stem.split("-")
    return not digest or sha256(path).startswith(digest[0])  # states of earlier versions have none
