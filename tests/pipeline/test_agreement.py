"""Several processes agree, played by threads that differ in speed."""

import random
import threading
import time

import pytest

from dctdiff.pipeline import agreement
from dctdiff.pipeline.agreement import Meetings, first_does, steps_until_next
from dctdiff.pipeline.errors import Interrupted, UserError

N = 3


@pytest.fixture
def rank(monkeypatch):
    """The rank of a thread, and what it exchanges with the others; a thread that none meets is an error."""
    here = threading.local()
    meeting = threading.Barrier(N, timeout=20)
    brought: dict[int, tuple] = {}

    def greatest(*values):
        brought[here.rank] = values
        meeting.wait()
        found = [max(column) for column in zip(*brought.values(), strict=True)]
        meeting.wait()
        return found

    monkeypatch.setattr(agreement, "_greatest", greatest)
    monkeypatch.setattr(agreement, "n_processes", lambda: N)
    monkeypatch.setattr(agreement, "process_rank", lambda: here.rank)
    return here


def by_rank(rank, work) -> list:
    """What ``work`` of a rank returns or raises, in each of the threads."""
    found = [None] * N

    def run(number: int) -> None:
        rank.rank = number
        try:
            found[number] = work(number)
        except BaseException as error:
            found[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(N)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@pytest.mark.parametrize("who", range(N))
def test_all_stop_after_the_same_step_whoever_is_told(rank, monkeypatch, who):
    monkeypatch.setattr(agreement, "SECONDS_BETWEEN_MEETINGS", 0.01)

    def steps(number: int) -> int:
        draws = random.Random(number)
        asked = [0]
        meetings = Meetings(7, lambda: asked[0] > 150 and number == who)
        for step in range(8, 10_000):
            time.sleep(draws.random() * 0.0005 * (1 + number))
            asked[0] = step
            if meetings.stopping(step):
                return step
        return 0

    stopped = by_rank(rank, steps)
    assert stopped[0] > 150 and stopped == [stopped[0]] * N


@pytest.mark.parametrize(("seconds_per_step", "steps"), [(0.0, 1000), (0.001, 1000), (0.01, 200), (1.5, 1), (60, 1)])
def test_meetings_are_two_seconds_apart_whatever_a_step_takes(seconds_per_step, steps):
    assert steps_until_next(seconds_per_step) == steps


def test_a_process_alone_asks_itself_after_each_step():
    asked = iter([False, False, True])
    meetings = Meetings(0, lambda: next(asked))
    assert [meetings.stopping(step) for step in (1, 2, 3)] == [False, False, True]


def test_the_first_does_it_and_the_others_wait(rank):
    done = []

    def act(number):
        time.sleep(0.2)
        done.append(number)
        return "done"

    def work(number):
        return first_does(lambda: act(number)), list(done)

    assert by_rank(rank, work) == [("done", [0]), (None, [0]), (None, [0])]


@pytest.mark.parametrize(
    ("failure", "code"),
    [(UserError("no"), 1), (Interrupted("later"), 75), (KeyError(), 1)],
)
def test_if_the_first_fails_all_end_and_it_says_why(rank, failure, code):
    def act():
        raise failure

    first, *others = by_rank(rank, lambda number: first_does(act))
    assert first is failure
    assert [(type(error), error.code) for error in others] == [(SystemExit, code)] * (N - 1)


def test_a_process_alone_is_the_first():
    assert first_does(lambda: 7) == 7
