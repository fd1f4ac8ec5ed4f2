"""What a machine lacks is said before a job waits for it."""

import pytest
import yaml

from dctdiff.commands import doctor
from dctdiff.params.download import Download
from dctdiff.params.suite import Suite
from engines import ROOT, copy_project, run

SUITES = yaml.safe_load((ROOT / "params.yaml").read_text())["suites"]


def test_a_suite_that_can_run_is_found_well(tmp_path):
    folder = copy_project(tmp_path)
    said = run(folder, "python", "-m", "dctdiff.commands.doctor")
    assert "photographs of scikit-image" in said and doctor.BAD not in said
    assert not (folder / "data/micro32").exists() and not (folder / "results").exists()


def test_what_is_missing_ends_in_one_line(tmp_path):
    folder = copy_project(tmp_path, "paper")
    said = run(folder, "python", "-m", "dctdiff.commands.doctor", fails=True)
    assert "data/sources/cifar-10-python.tar.gz will be fetched (http)" in said
    assert "no token of kaggle: kaggle auth login makes one" in said
    assert "error: " in said.splitlines()[-1] and "Traceback" not in said


def test_data_is_looked_for_where_it_will_be_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = Download(source="files", train="photos", n_train=3)
    assert doctor.data("own", own).verdict == doctor.BAD
    (tmp_path / "photos").mkdir()
    assert doctor.data("own", own) == ("data own", "photos, not yet read", doctor.OK)
    fetched = Download(source="http", train="https://example.org/a.zip", n_train=3)
    assert doctor.data("a", fetched) == ("data a", "data/sources/a.zip will be fetched (http)", doctor.LATER)


def test_released_weights_will_be_fetched_if_they_are_not_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    suite = Suite.model_validate(SUITES["paper-released"])
    jobs = [("weights", "released-cifar10-dctdiff-s")]
    path = "data/sources/weights/DCTdiff_cifar10_small.pth"
    found = next(doctor.files(suite, jobs))
    assert found[1:] == (f"{path} will be fetched (http)", doctor.LATER)
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_bytes(bytes(2_000_000))
    assert next(doctor.files(suite, jobs))[1:] == (f"{path}, 2 MB", doctor.OK)


@pytest.mark.parametrize("free", [10**6, 10**12])
def test_a_full_disk_is_found(monkeypatch, free):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: type("Usage", (), {"free": free}))
    assert doctor.disk(1e9).verdict == (doctor.OK if free > 1e9 else doctor.BAD)


def test_versions_beside_the_lock_are_named(tmp_path, monkeypatch):
    lock = tmp_path / "requirements.lock"
    monkeypatch.setattr(doctor, "LOCK", lock)
    lock.write_text("# by hand\npytest==0.1\nabsent-package==2\n")
    assert "absent-package absent for 2" in doctor.packages().found
    assert doctor.packages().verdict == "differ"


@pytest.mark.skipif(doctor.torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_fp16_without_a_gpu_is_found():
    suite = Suite.model_validate(SUITES["paper"])
    assert "needs a GPU" in next(doctor.precisions(suite)).found
    assert not list(doctor.precisions(Suite.model_validate(SUITES["micro"])))
    [cells] = doctor.precisions(Suite.model_validate(SUITES["paper-released"]))  # no run is trained
    assert cells.found.startswith("cells: ")
