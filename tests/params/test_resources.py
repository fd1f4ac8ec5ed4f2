"""What a job needs, as resources of Snakemake, and kept between its processes."""

import pytest

from dctdiff.params.resources import CACHE, KEYS, Needs, cached_needs, snakemake_resources

ONE = Needs(4, 4, 1, 16, 100, 32_000, 500, 3600.0)
TWO_NODES = ONE._replace(processes=16, gpus=16, nodes=2)


def test_on_one_node_nothing_starts_the_job_but_its_command():
    resources = snakemake_resources(ONE)
    assert tuple(resources) == KEYS
    assert {key: value for key, value in resources.items() if value is not None} == {
        "gpu": 4, "nodes": 1, "cpus_per_task": 16, "runtime": 100, "mem_mb": 32_000, "disk_mb": 500,
    }  # fmt: skip


def test_on_several_nodes_srun_starts_one_task_on_each():
    resources = snakemake_resources(TWO_NODES)
    assert (resources["gpu"], resources["gres"], resources["tasks"], resources["tasks_per_gpu"]) == (
        None,
        "gpu:8",
        2,
        0,
    )
    srun = "srun --nodes=2 --ntasks=2 --ntasks-per-node=1 --kill-on-bad-exit=1 --cpus-per-task=16"
    assert resources["mpi"] == srun


def test_memory_grows_with_each_attempt():
    assert [snakemake_resources(ONE, attempt)["mem_mb"] for attempt in (1, 2, 3)] == [32_000, 64_000, 96_000]


def test_needs_are_kept_until_what_they_follow_from_changes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    needs, computed = {("weights", "a"): ONE}, []

    def compute():
        computed.append(1)
        return needs

    for follow_from, n_computed in (({"a": 1}, 1), ({"a": 1}, 1), ({"a": 2}, 2), ({"a": 1}, 3)):
        assert cached_needs([follow_from], compute) == needs
        assert len(computed) == n_computed


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"key": 1}', '{"key": null, "needs": 3}'])
def test_a_broken_file_is_computed_anew(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    CACHE.parent.mkdir()
    CACHE.write_text(text)
    assert cached_needs([1], lambda: {("weights", "a"): ONE}) == {("weights", "a"): ONE}
