"""A signal that reaches an engine alone reaches its jobs."""

import signal
import subprocess
import sys

import pytest

# As Snakemake: it takes SIGTERM for a wish to end after the jobs that run, each of which a shell has started.
ENGINE = '''
import signal, subprocess
from dctdiff.pipeline.signals import pass_on_to_jobs
pass_on_to_jobs()
signal.signal(signal.SIGTERM, lambda number, frame: None)
job = """
import signal, sys
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
    signal.signal(number, lambda number, frame: sys.exit(f"stopped by {number}"))
print('ready', flush=True)
signal.pause()
"""
shell = subprocess.Popen(["bash", "-c", 'python3 -c "$0" 2>&1; echo "ended"', job])
raise SystemExit(shell.wait())
'''


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_jobs_of_an_engine_are_told_to_stop(number):
    engine = subprocess.Popen([sys.executable, "-c", ENGINE], stdout=subprocess.PIPE, text=True)
    assert engine.stdout.readline() == "ready\n"
    engine.send_signal(number)
    said, _ = engine.communicate(timeout=120)
    assert said == f"stopped by {number.value}\nended\n" and engine.returncode == 0


def test_nohup_is_heard():
    """A shell that lets work go on after the terminal is gone ignores SIGHUP, and its children do."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        engine = subprocess.Popen([sys.executable, "-c", ENGINE], stdout=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert engine.stdout.readline() == "ready\n"
    engine.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        engine.wait(timeout=1)
    engine.send_signal(signal.SIGTERM)
    said, _ = engine.communicate(timeout=120)
    assert said == f"stopped by {signal.SIGTERM.value}\nended\n"
