"""README and docs: what is generated is current, has its place, and names nothing that is not there."""

import ast
import json
import re

import pytest
import yaml

from dctdiff.params.jobs import STAGES
from dctdiff.params.train import Run
from dctdiff.report.tables.recipes import KEYS
from engines import ROOT, load

PAGES = [
    ROOT / "README.md",
    *sorted(ROOT.glob("docs/*.md")),
    ROOT / "data/README.md",
    ROOT / "data/shipped/README.md",
    ROOT / "results/README.md",
]


def test_the_table_of_keys_is_current():
    docs = load("docs")
    text = (ROOT / "docs/params.md").read_text()
    assert docs.replaced(text, "keys", docs.keys_table()) == text, "run make docs"
    assert docs.replaced(text, "published", docs.published_table()) == text, "run make docs"
    assert docs.replaced(text, "machine", docs.machine_table()) == text, "run make docs"


def test_the_picture_of_the_rules_is_current():
    docs, text = load("docs"), (ROOT / "docs/engines.md").read_text()
    drawn = docs.rulegraph()
    assert docs.replaced(text, "rulegraph", drawn) == text, "run make docs"
    assert set(STAGES) <= set(re.findall(r"\w+", drawn)) and "weights --> sample" in drawn


def test_there_is_a_place_for_every_table_that_is_shown():
    docs = load("docs")
    page = (ROOT / "docs/results.md").read_text()
    for suite, shown in docs.SHOWN.items():
        for table in shown.tables:
            assert docs.replaced(page, f"{suite}-{table}", "x") != page
        if shown.minutes:
            assert docs.replaced(page, f"{suite}-minutes", "x") != page


def test_what_was_published_stands_beside_what_was_reproduced():
    docs = load("docs")
    readme = (ROOT / "README.md").read_text()
    assert docs.replaced(readme, "published", docs.headlines_table()) == readme, "run make docs"
    rows = docs.headlines_table().splitlines()[2:]
    assert len(rows) == len(docs.HEADLINES)
    for row, headline in zip(rows, docs.HEADLINES, strict=True):
        ran = headline.name in json.loads((ROOT / "docs/reproduced.json").read_text())[headline.group]
        assert row.endswith("| not run |") != ran


def test_a_headline_is_what_the_last_run_made_with_the_params_of_the_plan(made):
    docs, folder = load("docs"), made[0]
    plan = json.loads((folder / "results/plan.json").read_text())
    docs.HEADLINES = [
        docs.Headline("eta", "micro", "statistics", "micro32-dct"),
        docs.Headline("m*", "micro", "truncations", "micro32-b4"),
        docs.Headline("FID", "micro", "distances", "micro-dct-dpm"),
        docs.Headline("of another suite", "paper", "distances", "micro-dct-dpm"),
        docs.Headline("not run", "micro", "distances", "absent"),
    ]
    evaluation = json.loads((folder / "results/evaluations/cells/micro-dct-dpm.json").read_text())
    statistics = json.loads((folder / "results/statistics/codecs/micro32-dct.json").read_text())
    found = docs.reproduced_values(plan, folder / "results")
    assert found.keys() == {"micro32-dct", "micro32-b4", "micro-dct-dpm"}
    assert found["micro32-dct"] == {"value": f"{statistics['eta']:.3f}", "metric": ""}
    assert found["micro-dct-dpm"]["value"] == f"{evaluation['value']:.2f}"
    assert found["micro-dct-dpm"]["metric"].startswith("FD (EfficientNet-Lite0), n = ")
    plan["cells"]["micro-dct-dpm"]["nfe"] += 1
    plan["codecs"]["micro32-dct"]["tau"] = 90.0
    assert docs.reproduced_values(plan, folder / "results").keys() == {"micro32-b4"}


def test_training_times_are_those_of_the_last_line_of_each_log(tmp_path):
    (tmp_path / "training").mkdir()
    (tmp_path / "plan.json").write_text(json.dumps({"runs": {"b": {}, "a": {}}, "imports": {}}))
    for name, seconds, processes in (("a", 90, 2), ("b", 600, 1)):
        line = {"images": 9, "loss": 0.1, "precision": "bf16", "device": "GPU", "processes": processes}
        lines = [line | {"step": step, "seconds": seconds * step / 2000} for step in (1000, 2000)]
        (tmp_path / f"training/{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert load("docs").training_minutes(tmp_path).splitlines() == [
        "- `b`: 2,000 steps in 10.0 minutes, compilation included, bf16 on 1 x GPU",
        "- `a`: 2,000 steps in 1.5 minutes, compilation included, bf16 on 2 x GPU",
    ]


def test_the_speeds_are_those_of_the_files():
    docs = load("docs")
    page = (ROOT / "docs/benchmarks.md").read_text()
    for name, table in docs.tables_of_devices(ROOT / "docs/bench").items():
        assert docs.replaced(page, f"bench-{name}", table) == page, "run make bench-docs"


def test_the_table_of_variants_is_that_of_the_file_and_of_the_params():
    docs, page = load("docs"), (ROOT / "docs/results.md").read_text()
    plan = docs.suite_plan(docs.ABLATION)
    tried = json.loads((ROOT / "docs/ablation.json").read_text())
    assert docs.replaced(page, docs.ABLATION, docs.block(*docs.ablation_table(plan, tried))) == page, "run make docs"
    assert tried.keys() <= plan["runs"].keys()
    for name, found in tried.items():
        assert all(plan["runs"][name][key] == found[key] for key in KEYS if key in found), name


def test_the_table_of_recipes_is_that_of_the_file_and_each_row_can_be_remade():
    docs = load("docs")
    tried, page = json.loads((ROOT / "docs/recipes.json").read_text()), (ROOT / "docs/results.md").read_text()
    assert docs.replaced(page, docs.RECIPES, docs.block(*docs.recipes_table(tried))) == page, "run make docs"
    suite = yaml.safe_load((ROOT / "params.yaml").read_text())["suites"][docs.RECIPES]
    for name, found in tried.items():
        run = Run.model_validate(suite["runs"][name]).model_dump()
        assert suite["cells"][name]["run"] == name and run["train_steps"] == found["step"]
        assert all(run[key] == found[key] for key in KEYS if key in found), name


def test_every_promise_names_a_test_that_is_there():
    promises = [line for line in (ROOT / "docs/reliability.md").read_text().splitlines() if line.startswith("| ")][1:]
    for line in promises[1:]:
        tests = re.findall(r"`(tests/[^`]+\.py)`", line)
        assert tests and all((ROOT / test).exists() for test in tests), line


def test_a_newcomer_is_not_kept_reading():
    assert len((ROOT / "README.md").read_text().split()) <= 1200, "move what is more into docs/"


def anchors(text: str) -> set[str]:
    """Of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if not target.startswith("https://"):
            path, _, anchor = target.partition("#")
            linked = page.parent / path if path else page
            assert linked.exists(), f"{target} is not there"
            assert not anchor or anchor in anchors(linked.read_text()), f"{target} has no such heading"


def test_every_page_is_linked_from_the_readme():
    linked = set(re.findall(r"\]\((docs/[\w.-]+\.md)", (ROOT / "README.md").read_text()))
    assert linked == {path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/*.md")}


def protocol() -> dict[int, tuple[str, str]]:
    """Point -> its modules and its tests."""
    rows = re.findall(r"^\| (\d+) \|.*\| (.*) \| (.*) \|$", (ROOT / "docs/protocol.md").read_text(), flags=re.MULTILINE)
    assert [int(point) for point, *_ in rows] == list(range(1, 55))
    return {int(point): (modules, tests) for point, modules, tests in rows}


def cited(text: str) -> set[int]:
    """The points that comments and docstrings cite: "protocol points 8 to 16 and 44", "(point 12)"."""
    words = re.sub(r"[\s#]+", " ", text)
    points = set()
    for numbers in re.findall(r"(?:[Pp]rotocol |\()points? (\d+(?:(?:, | and | to )\d+)*)", words):
        for part in re.split(", | and ", numbers):
            ends = [int(end) for end in part.split(" to ")]
            points |= set(range(ends[0], ends[-1] + 1))
    return points


def test_points_are_read_as_they_are_cited():
    assert cited("# (protocol points 8 to\n    # 10 and 44), (point 12); Protocol point 3, 5 images; 7 points") == {
        3, 5, 8, 9, 10, 12, 44,
    }  # fmt: skip


def test_every_point_that_code_cites_stands_in_the_protocol_with_its_module():
    points, package, n_cited = protocol(), ROOT / "src/dctdiff", 0
    for path in sorted(package.rglob("*.py")):
        for point in cited(path.read_text()):
            n_cited += 1
            assert f"`{path.relative_to(package)}`" in points[point][0], f"{path} cites point {point}"
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        assert path.name == "test_docs.py" or cited(path.read_text()) <= points.keys(), path
    assert n_cited > 50


def test_every_module_and_test_of_the_protocol_is_there():
    for point, (modules, tests) in protocol().items():
        for module in re.findall(r"`([^`]+)`", modules):
            assert (ROOT / "src/dctdiff" / module).is_file(), f"point {point}: {module}"
        for file, name in re.findall(r"`([^`:]+)::(\w+)`", tests):
            functions = {getattr(node, "name", "") for node in ast.parse((ROOT / file).read_text()).body}
            assert name in functions, f"point {point}: {file} has no {name}"
        assert modules == "none" or "`" in modules
        assert tests == "none" or "::" in tests


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = (ROOT / "pyproject.toml").read_text()
    assert f'version = "{citation["version"]}"' in project and f'license = "{citation["license"]}"' in project
    assert citation.keys() >= {"cff-version", "message", "title", "authors"}
    [paper] = citation["references"]
    readme = " ".join((ROOT / "README.md").read_text().split())
    assert " and ".join(f"{who['family-names']}, {who['given-names']}" for who in paper["authors"]) in readme
