"""One owner of a folder: on this machine, and beside owners on others, which are simulated by their names."""

import contextlib
import errno
import fcntl
import os
import threading
import time

import pytest

from dctdiff.pipeline import owner
from dctdiff.pipeline.errors import Interrupted, UserError
from dctdiff.pipeline.files import read_json, write_json
from dctdiff.pipeline.owner import LOCK, NAME, Owner, owned


def failing(number: int):
    def fail(*arguments):
        raise OSError(number, os.strerror(number))

    return fail


@pytest.fixture(autouse=True)
def short_times(monkeypatch):
    monkeypatch.setattr(owner, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(owner, "SILENCE_SECONDS", 1.0)
    monkeypatch.setattr(owner, "SECONDS_BETWEEN_LOOKS", 0.05)


@pytest.fixture
def no_locks(monkeypatch):
    monkeypatch.setattr(owner.fcntl, "flock", failing(errno.ENOLCK))


ELSEWHERE = {"host": "n7", "process": 1234, "job": "42", "boot": "of another machine"}


def other(folder, **changes) -> Owner:
    """An owner that this process only plays; it holds no lock."""
    found = Owner(folder)
    found.name = found.name.model_copy(update=ELSEWHERE | changes)
    return found


def left_by(dead: Owner) -> None:
    write_json(dead.folder / NAME, dead.name.model_dump())


def never() -> bool:
    return False


def at_once() -> bool:
    raise AssertionError("it waits")


def test_a_living_owner_on_another_machine_is_refused(tmp_path, capsys):
    expected = r"in use by process 1234 on n7 \(job 42\), which is alive; wait until it ends, or scancel 42$"
    with other(tmp_path).beating(), pytest.raises(UserError, match=expected), owned(tmp_path, never):
        pass
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "in use by process 1234 on n7 (job 42); this process waits for it until " in said


def test_a_dead_owner_on_another_machine_is_waited_for(tmp_path):
    left_by(other(tmp_path))
    started = time.monotonic()
    with owned(tmp_path, never) as mine:
        assert time.monotonic() - started > 0.9
        assert read_json(tmp_path / NAME)["token"] == mine.name.token


def test_an_owner_that_ends_is_not_waited_for_any_longer(tmp_path, monkeypatch):
    monkeypatch.setattr(owner, "SILENCE_SECONDS", 60.0)
    with contextlib.ExitStack() as life:
        life.enter_context(other(tmp_path).beating())
        threading.Timer(0.3, life.pop_all().close).start()
        started = time.monotonic()
        with owned(tmp_path, never):
            assert 0.2 < time.monotonic() - started < 30


@pytest.mark.parametrize("left", ["nothing", "released", "of a process that was killed here"])
def test_nobody_waits_for_whom_cannot_live(tmp_path, left):
    if left == "released":
        left_by(other(tmp_path, released=True))
    elif left != "nothing":
        left_by(other(tmp_path, boot=owner.boot()))
    with owned(tmp_path, at_once):
        pass
    with owned(tmp_path, at_once) as mine:
        mine.check()


def test_each_start_of_a_machine_has_a_name_of_its_own():
    assert owner.boot() == owner.boot() != ""


def test_without_locks_the_name_tells(tmp_path, no_locks):
    """Also of this machine, since nothing else does."""
    with owned(tmp_path, at_once), pytest.raises(UserError, match="which is alive"), owned(tmp_path, never):
        pass
    left_by(other(tmp_path, boot=owner.boot()))
    started = time.monotonic()
    with owned(tmp_path, never):
        assert time.monotonic() - started > 0.9


@pytest.mark.parametrize(
    ("left", "who", "remedy"),
    [
        (None, "another process", "end it"),
        ({}, "process 1234 on n7 (job 42)", "scancel 42"),
        ({"job": None}, "process 1234 on n7", "kill 1234 on n7"),
    ],
)
def test_whoever_holds_the_lock_in_silence_is_refused(tmp_path, left, who, remedy):
    """A process that is suspended, or the lock of a machine that is gone."""
    who, remedy = "another process", "end it"
    if left is not None:
        left_by(other(tmp_path, **left))
        who, remedy = (
            ("process 1234 on n7", "kill 1234 on n7") if left else ("process 1234 on n7 (job 42)", "scancel 42")
        )
    with open(tmp_path / LOCK, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(UserError) as error, owned(tmp_path, never):
            pass
    assert str(error.value) == (
        f"{tmp_path} is in use by {who}, which is silent but holds the lock; {remedy}, or delete {tmp_path / LOCK} if "
        "its machine is gone"
    )


def test_a_signal_ends_the_waiting(tmp_path):
    left_by(other(tmp_path))
    asked = iter([False, True])
    with pytest.raises(Interrupted, match="the same command goes on"), owned(tmp_path, lambda: next(asked)):
        pass
    assert read_json(tmp_path / NAME)["host"] == "n7"


@pytest.mark.parametrize("ended", [False, True])
def test_an_owner_that_was_taken_for_dead_writes_nothing_more(tmp_path, ended):
    """Also if the other has ended meanwhile: what it made is newer."""
    with owned(tmp_path, at_once) as mine:
        left_by(other(tmp_path, released=ended))
        content = (tmp_path / NAME).read_bytes()
        deadline = time.monotonic() + 30
        while not mine.is_lost() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.2)  # some beats
        with pytest.raises(UserError, match=r"taken over by process 1234 on n7 \(job 42\); this process stops with"):
            mine.check()
    assert (tmp_path / NAME).read_bytes() == content


def test_a_takeover_is_seen_before_the_next_beat(tmp_path, monkeypatch):
    monkeypatch.setattr(owner, "BEAT_SECONDS", 1000.0)
    with owned(tmp_path, at_once) as mine:
        mine.check()
        left_by(other(tmp_path))
        with pytest.raises(UserError, match="was taken over"):
            mine.check()


@pytest.mark.parametrize("damage", ["gone", "half", "unreadable"])
def test_a_name_that_cannot_be_read_is_no_takeover(tmp_path, monkeypatch, damage):
    """It is written again."""
    with owned(tmp_path, at_once) as mine:
        if damage == "gone":
            (tmp_path / NAME).unlink()
        elif damage == "half":
            (tmp_path / NAME).write_text('{"host": "n')
        else:
            with monkeypatch.context() as patch:
                patch.setattr(owner, "_name_in", failing(errno.ESTALE))
                mine.check()
        mine.check()
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with contextlib.suppress(UserError):
                if read_json(tmp_path / NAME)["token"] == mine.name.token:
                    break
        assert read_json(tmp_path / NAME)["token"] == mine.name.token


def test_a_full_disk_does_not_end_the_beats(tmp_path, monkeypatch):
    with owned(tmp_path, at_once) as mine:
        with monkeypatch.context() as patch:
            patch.setattr(owner, "write_json", failing(errno.ENOSPC))
            time.sleep(0.2)
        beat = mine.name.beat
        deadline = time.monotonic() + 30
        while read_json(tmp_path / NAME)["beat"] <= beat and time.monotonic() < deadline:
            time.sleep(0.01)
        assert read_json(tmp_path / NAME)["beat"] > beat


def test_a_folder_that_cannot_be_written_has_no_owner(tmp_path, monkeypatch):
    monkeypatch.setattr(owner, "write_json", failing(errno.EACCES))
    with pytest.raises(PermissionError), owned(tmp_path, at_once):
        raise AssertionError
