"""README and docs: the keys of params.yaml that the code knows, and room for every result shown."""

import json
import re

from engines import ROOT, load


def test_the_table_of_keys_is_current():
    docs = load("docs")
    text = (ROOT / "docs/params.md").read_text()
    assert docs.replaced(text, "keys", docs.keys_table()) == text, "run make docs"
    assert docs.replaced(text, "published", docs.published_table()) == text, "run make docs"
    assert docs.replaced(text, "machine", docs.machine_table()) == text, "run make docs"


def test_the_readme_has_a_place_for_every_table_it_shows():
    docs = load("docs")
    readme = (ROOT / "README.md").read_text()
    for suite, shown in docs.SHOWN.items():
        for table in shown.tables:
            assert docs.replaced(readme, f"{suite}-{table}", "x") != readme
        if shown.minutes:
            assert docs.replaced(readme, f"{suite}-minutes", "x") != readme


def test_training_times_are_those_of_the_last_line_of_each_log(tmp_path):
    (tmp_path / "training").mkdir()
    (tmp_path / "plan.json").write_text(json.dumps({"runs": {"b": {}, "a": {}}}))
    for name, seconds, processes in (("a", 90, 2), ("b", 600, 1)):
        line = {"images": 9, "loss": 0.1, "precision": "bf16", "device": "GPU", "processes": processes}
        lines = [line | {"step": step, "seconds": seconds * step / 2000} for step in (1000, 2000)]
        (tmp_path / f"training/{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert load("docs").training_minutes(tmp_path).splitlines() == [
        "- `b`: 2,000 steps in 10.0 minutes, compilation included, bf16 on 1 x GPU",
        "- `a`: 2,000 steps in 1.5 minutes, compilation included, bf16 on 2 x GPU",
    ]


def test_the_speeds_of_the_readme_are_those_of_the_files():
    docs = load("docs")
    readme = (ROOT / "README.md").read_text()
    for name, table in docs.build_tables(docs.read_results(ROOT / "docs/bench")).items():
        assert docs.replaced(readme, f"bench-{name}", table) == readme, "run make bench-docs"


def test_every_promise_names_a_test_that_is_there():
    promises = [line for line in (ROOT / "docs/reliability.md").read_text().splitlines() if line.startswith("| ")][1:]
    for line in promises[1:]:
        tests = re.findall(r"`(tests/[^`]+\.py)`", line)
        assert tests and all((ROOT / test).exists() for test in tests), line
