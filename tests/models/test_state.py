"""The state of a run on disk: where it goes on, when it asks, and what the answers do."""

import copy
import json
import shutil

import pytest

from dctdiff.models.state import QUESTION, candidate_path, go_on, latest_step, start_anew, state_folder
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import read_json

IDENTITY = {
    "run": {"lr": 0.1, "seed": 1},
    "precision": "float32",
    "model": {"space": "dct", "eta": 240.0, "class_counts": None},
    "weights": [1.0],
    "images_sha256": "i",
    "images_made": {"stage": "crop", "seed": 7},
    "code": {"diffusion.loss.f": "a", "networks.uvit.g": "b"},
}


def changed(**values):
    identity = copy.deepcopy(IDENTITY)
    for place, value in values.items():
        group, _, key = place.partition("__")
        (identity[group] if key else identity).__setitem__(key or group, value)
    return identity


EDITED = changed(code={"diffusion.loss.f": "A", "networks.uvit.g": "b", "models.step.h": "c"})


@pytest.fixture
def root(tmp_path):
    return tmp_path / "runs/r/state"


def folder_of(root, identity, train_steps=100_000):
    return state_folder(root, identity, train_steps, ask_above_steps=1000)


def trained(root, identity, steps, train_steps=100_000, ask_above_steps=1000):
    """A state of ``steps`` in the folder of an identity."""
    folder = state_folder(root, identity, train_steps, ask_above_steps)
    (folder / f"step-{steps:09d}.pt").write_bytes(f"state of {identity['code']}".encode())
    candidate_path(folder, 100).parent.mkdir(exist_ok=True)
    candidate_path(folder, 100).write_bytes(b"candidate")
    line = {"step": steps, "images": 9, "loss": 0.5, "seconds": 7200.0, "precision": "bf16", "device": "H100"}
    (folder / "log.jsonl").write_text(json.dumps(line | {"processes": 2}) + "\n")
    return folder


def test_the_same_run_finds_its_folder_again(root):
    first = trained(root, IDENTITY, 2000)
    other = trained(root, changed(run__lr=0.2), 3000)
    assert first != other
    assert folder_of(root, IDENTITY) == first
    newer = changed(run__skip_bias_std=0.0, model__prediction="noise")  # keys that came later, at their defaults
    assert folder_of(root, newer) == first
    assert folder_of(root, changed(run__skip_bias_std=1.0)) not in (first, other)
    assert not (root / QUESTION).exists()


def test_params_start_anew_without_a_question(root):
    """Those of the images, too: an archive says by which params it was made."""
    changes = ({}, {"run__seed": 2}, {"precision": "bf16"}, {"images_made__seed": 8, "images_sha256": "j"})
    assert len({trained(root, changed(**change), 5000) for change in changes}) == 4


def test_images_that_came_out_otherwise_ask(root):
    """By the same params: after an edit of the code that crops them, or of the photographs."""
    trained(root, IDENTITY, 5000)
    for change in ({"images_sha256": "j"}, {"weights": [2.0]}, {"model__eta": 1.0}):
        with pytest.raises(UserError, match="trained on other images or statistics of them; make continue"):
            folder_of(root, changed(**change))


def test_other_code_asks_and_touches_nothing(root):
    folder = trained(root, IDENTITY, 2000)
    with pytest.raises(UserError) as asked:
        folder_of(root, EDITED)
    assert str(asked.value) == (
        "r has a state of 2000 steps and 4 hours of H100, trained by other code (diffusion.loss.f, models.step.h "
        "differ); make continue RUN=r goes on from it, make anew RUN=r starts anew and keeps it aside"
    )
    assert sorted(path.name for path in root.iterdir()) == sorted([folder.name, QUESTION])
    with pytest.raises(UserError, match="differ\\) on other images or statistics of them; make continue"):
        folder_of(root, EDITED | {"images_sha256": "j"})


def test_few_steps_are_left_without_a_question(root):
    folder = trained(root, IDENTITY, 1000)
    assert folder_of(root, EDITED) != folder
    assert latest_step(folder) == 1000
    assert folder_of(root, IDENTITY) == folder


def test_of_several_states_the_furthest_is_asked_about(root):
    trained(root, IDENTITY, 2000)
    trained(root, EDITED, 9000, ask_above_steps=5000)
    with pytest.raises(UserError, match="a state of 9000 steps"):
        folder_of(root, changed(code={"diffusion.loss.f": "Z"}))


def asked(root, identity):
    with pytest.raises(UserError):
        folder_of(root, identity)


def test_to_continue_takes_state_candidates_and_log_along(root):
    old = trained(root, IDENTITY, 2000)
    asked(root, EDITED)
    assert go_on(root) == "r will go on from step 2000"
    new = folder_of(root, EDITED)
    assert new != old and not (root / QUESTION).exists()
    for name in ("step-000002000.pt", "candidates/000000100.safetensors", "log.jsonl"):
        assert (new / name).read_bytes() == (old / name).read_bytes()
    with open(new / "log.jsonl", "a") as file:
        file.write("more")
    assert "more" not in (old / "log.jsonl").read_text()
    # The state of before belongs to the code of before, and is not asked about a second time.
    assert folder_of(root, IDENTITY) == old
    asked(root, changed(code={"diffusion.loss.f": "Z"}))
    assert read_json(root / QUESTION)["trained_otherwise"] == new.name


def test_to_start_anew_keeps_the_state_for_its_own_code(root):
    old = trained(root, IDENTITY, 2000)
    asked(root, EDITED)
    assert start_anew(root) == f"r will start anew; {old} keeps its 2000 steps"
    new = folder_of(root, EDITED)
    assert latest_step(new) == 0 and latest_step(old) == 2000
    folder_of(root, changed(code={"diffusion.loss.f": "Z"}))  # no question about what was left
    assert folder_of(root, IDENTITY) == old


def test_a_state_that_was_left_and_taken_up_again_is_asked_about(root):
    old = trained(root, IDENTITY, 2000)
    asked(root, EDITED)
    start_anew(root)
    assert trained(root, IDENTITY, 90_000) == old  # the edit was undone
    asked(root, EDITED)


def test_few_own_steps_do_not_hide_a_long_training(root):
    trained(root, EDITED, 10)
    trained(root, IDENTITY, 90_000)
    with pytest.raises(UserError, match="a state of 90000 steps"):
        folder_of(root, EDITED)
    go_on(root)
    assert latest_step(folder_of(root, EDITED)) == 90_000


@pytest.mark.parametrize("answer", [go_on, start_anew])
def test_an_answer_that_was_killed_at_its_end_can_be_given_again(root, answer):
    trained(root, IDENTITY, 2000)
    asked(root, EDITED)
    question = (root / QUESTION).read_bytes()
    answer(root)
    (root / QUESTION).write_bytes(question)
    answer(root)
    assert latest_step(folder_of(root, EDITED)) == (2000 if answer is go_on else 0)


def test_a_state_that_is_gone_is_not_gone_on_from(root):
    old = trained(root, IDENTITY, 2000)
    asked(root, EDITED)
    shutil.rmtree(old)
    with pytest.raises(UserError, match="holds no state any more; start the run again"):
        go_on(root)
    assert latest_step(folder_of(root, EDITED)) == 0


def test_an_identity_of_an_earlier_version_lacks_keys(root):
    old = trained(root, IDENTITY, 2000)
    for key in ("precision", "images_made", "weights"):
        identity = read_json(old / "identity.json")
        del identity[key]
        (old / "identity.json").write_text(json.dumps(identity))
    asked(root, EDITED)


def test_an_edit_that_is_undone_takes_the_question_back(root):
    old = trained(root, IDENTITY, 2000)
    asked(root, EDITED)
    assert folder_of(root, IDENTITY) == old
    with pytest.raises(UserError, match="r asks nothing"):
        go_on(root)


def test_a_state_of_an_earlier_version_is_asked_about(root):
    """It has no identity, so no one knows its params."""
    old = root / "0123456789abcdef"
    old.mkdir(parents=True)
    (old / "step-000002000.pt").write_bytes(b"state")
    with pytest.raises(UserError, match="trained by an earlier version of this project, which"):
        folder_of(root, IDENTITY)
    go_on(root)
    assert latest_step(folder_of(root, IDENTITY)) == 2000
    folder_of(root, changed(run__seed=2))  # what was answered is not asked again


def test_to_lower_train_steps_asks_before_what_is_trained_is_left(root):
    old = trained(root, IDENTITY, 5000)
    with pytest.raises(UserError) as lowered:
        folder_of(root, IDENTITY, train_steps=1500)
    assert str(lowered.value) == (
        "r has a state of 5000 steps and 4 hours of H100, but train_steps is 1500, and no state at or before that is "
        "kept; set train_steps to 5000 to keep its results, or make anew RUN=r starts anew and keeps the state aside"
    )
    with pytest.raises(
        UserError, match=r"r cannot go on: .* raise train_steps to that, or train anew: make anew RUN=r"
    ):
        go_on(root)
    start_anew(root)
    new = trained(root, IDENTITY, 1500, train_steps=1500)
    assert new != old and latest_step(old) == 5000
    assert folder_of(root, IDENTITY, train_steps=5000) == old
    assert folder_of(root, IDENTITY, train_steps=1500) == new  # trained already, so nothing is asked


def test_to_lower_train_steps_goes_on_from_a_state_before_it(root):
    folder = trained(root, IDENTITY, 5000)
    (folder / "step-000001000.pt").write_bytes(b"state")
    assert folder_of(root, IDENTITY, train_steps=1500) == folder


def test_to_lower_train_steps_below_a_few_starts_in_a_folder_of_its_own(root):
    """Beside the later states the new ones would be taken for the oldest, and removed."""
    old = trained(root, IDENTITY, 900)
    assert folder_of(root, IDENTITY, train_steps=500) != old
    assert latest_step(old) == 900


def test_a_killed_answer_is_given_again(root):
    trained(root, IDENTITY, 2000)
    asked(root, EDITED)
    half = root / f".{'x' * 16}.tmp"
    half.mkdir()
    go_on(root)
    assert latest_step(folder_of(root, EDITED)) == 2000
