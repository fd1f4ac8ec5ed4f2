"""Signals by which a person, a scheduler or a terminal asks a process to stop."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable

import psutil

SHELLS = ("bash", "sh", "dash")
STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP)


def stop_on_signals() -> Callable[[], int]:
    """A function that tells which of them has come first since, 0 for none."""
    received = []
    for number in heard():
        signal.signal(number, lambda number, frame: received.append(number))
    return lambda: received[0] if received else 0


def heard() -> list[signal.Signals]:
    return [number for number in STOPPING if not _ignored(number)]


def _ignored(number: int) -> bool:
    """As under nohup, which is there to let work go on."""
    return signal.getsignal(number) == signal.SIG_IGN


def pass_on_to_jobs() -> None:
    """Let a signal that reaches an engine alone reach its jobs, too: they save their state and end.

    At a SIGTERM Snakemake starts no further job, but waits for those that run, be it for days; others end it at once
    and leave its jobs behind, so they become a SIGTERM for it, and stay what they are for its jobs. Whoever handles a
    signal, Python also writes its number to a pipe, from which a thread takes it.
    """
    for number in (signal.SIGHUP, signal.SIGUSR1):
        if not _ignored(number):
            signal.signal(number, lambda number, frame: os.kill(os.getpid(), signal.SIGTERM))
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_pass_on, args=(reader,), daemon=True).start()


def _pass_on(reader: int) -> None:
    while received := os.read(reader, 1):
        if received[0] in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
            for process in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):  # gone meanwhile
                    if process.name() not in SHELLS:  # those would end at once, and leave theirs behind
                        process.send_signal(received[0])
