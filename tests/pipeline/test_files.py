"""Files: what a full disk, a killed process and broken content leave and say."""

import errno
import os
import subprocess
import sys

import pytest

from dctdiff.pipeline.command import run_command
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import read_json, read_json_lines, replacing, write_text


def said_of(capsys, main) -> str:
    with pytest.raises(SystemExit) as end:
        run_command(main)
    said = capsys.readouterr().err
    assert end.value.code == 1 and said.startswith("error: ") and said.count("\n") == 1
    return said


def test_a_write_that_fails_names_the_file_and_leaves_the_old_one(tmp_path, capsys):
    """/dev/full refuses each write with ENOSPC, as a full disk does."""
    path = tmp_path / "table.csv"
    write_text(path, "old")

    def write():
        with replacing(path), open("/dev/full", "wb", buffering=0) as full:
            full.write(b"new")

    said = said_of(capsys, write)
    assert f"{path}: No space left on device; the file system of {tmp_path} has " in said and "GB free" in said
    assert os.listdir(tmp_path) == ["table.csv"] and path.read_text() == "old"


FULL = """
import resource, signal, sys
import torch
from safetensors.torch import save_file
from dctdiff.models.state import save_state
from dctdiff.pipeline.command import run_command
from dctdiff.pipeline.files import replacing
from pathlib import Path

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
tensors = {"x": torch.zeros(10_000)}

def model():
    with replacing("model.safetensors") as temporary:
        save_file(tensors, temporary)

def state():
    save_state(Path("."), {"progress": {"step": 7}, **tensors}, 1)

for write in (model, state):
    try:
        run_command(write)
    except SystemExit:
        pass
"""


def test_safetensors_and_torch_say_which_file_could_not_be_written(tmp_path):
    """A limit for each file, as a quota or a full disk would be one."""
    said = subprocess.run([sys.executable, "-c", FULL], cwd=tmp_path, capture_output=True, text=True, check=True).stderr
    lines = said.splitlines()
    assert len(lines) == 2
    for line, name in zip(lines, ("model.safetensors", ".state.tmp"), strict=True):
        assert line.startswith(f"error: {name}: File too large; ")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EMFILE, errno.EDQUOT, errno.ESTALE, errno.EBUSY])
def test_an_error_of_the_system_is_one_line(capsys, number):
    def fail():
        raise OSError(number, os.strerror(number), "a/b.zip")

    assert f"a/b.zip: {os.strerror(number)}; " in said_of(capsys, fail)


def test_real_paths_that_cannot_be_written_are_one_line(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert f"{tmp_path}/file: File exists; a folder is " in said_of(capsys, lambda: write_text(tmp_path / "file/a", ""))
    (tmp_path / "folder").mkdir()
    assert f"{tmp_path}/folder" in said_of(capsys, lambda: write_text(tmp_path / "folder", ""))
    assert "give it a shorter name" in said_of(capsys, lambda: write_text(tmp_path / ("x" * 300), ""))


@pytest.mark.parametrize("error", [OSError(errno.EPIPE, "broken pipe"), KeyError("a defect")])
def test_defects_keep_their_traceback(error):
    def fail():
        raise error

    with pytest.raises(type(error)):
        run_command(fail)


@pytest.mark.parametrize(("name", "where"), [("MemoryError", "this machine"), ("torch.OutOfMemoryError", "the GPU")])
def test_too_little_memory_names_the_keys_to_lower(capsys, name, where):
    import torch

    def fail():
        raise {"MemoryError": MemoryError, "torch.OutOfMemoryError": torch.OutOfMemoryError}[name]

    said = said_of(capsys, fail)
    assert f"the memory of {where} " in said and "batch_size" in said and "accumulation_steps" in said


KILLED = """
import os, sys
from dctdiff.pipeline.files import replacing
with replacing(sys.argv[1]) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), 9)
"""


def test_what_a_killed_process_left_is_removed_and_what_is_in_use_stays(tmp_path):
    path, other = tmp_path / "train[1].npy", tmp_path / "train.npy"
    for killed in (path, other):
        assert subprocess.run([sys.executable, "-c", KILLED, killed], check=False).returncode == -9
    assert len(os.listdir(tmp_path)) == 2
    with replacing(path) as temporary:
        assert len(os.listdir(tmp_path)) == 2  # what was left of the other, and this
        temporary.write_text("first")
        subprocess.run([sys.executable, "-c", KILLED, path], check=False)  # does not remove this one
        assert temporary.read_text() == "first"
    write_text(path, "second")
    write_text(other, "other")
    assert sorted(os.listdir(tmp_path)) == ["train.npy", "train[1].npy"]


@pytest.mark.parametrize("content", [b"", b'{"a": ', b"\xff\xfe", b"[" * 100_000, b"<html>"])
def test_what_is_no_json_is_named(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    for read in (read_json, read_json_lines):
        with pytest.raises(UserError, match=r"a\.json.*delete it and run again"):
            read(path)


@pytest.mark.parametrize("last", [b'{"step": 2, "lo', b"3"])
def test_a_log_with_half_a_line_names_the_line(tmp_path, last):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"step": 1}\n' + last)
    with pytest.raises(UserError, match=r"log\.jsonl, line 2: "):
        read_json_lines(path)
    path.write_bytes(b'{"step": 1}\n')
    assert read_json_lines(path) == [{"step": 1}]
