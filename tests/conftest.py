"""What is made once for all tests."""

import pytest

from engines import copy_project, run


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """The micro suite as each engine makes it, in a folder of its own. Tests work on copies."""
    by_snakemake = copy_project(tmp_path_factory.mktemp("snakemake"))
    by_dvc = copy_project(tmp_path_factory.mktemp("dvc"))
    run(by_snakemake, "snakemake", "--cores", "2")
    run(by_dvc, "dvc", "repro")
    return by_snakemake, by_dvc
