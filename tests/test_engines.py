"""Snakemake and DVC: one DAG, one result, and an edit reruns only what depends on it."""

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from dctdiff.data.archive import image_names
from dctdiff.models.config import ModelConfig
from dctdiff.models.release import write_state_dict
from dctdiff.params.suite import load_suite, read_params
from dctdiff.pipeline.files import sha256
from engines import ROOT, copy_project, differences, edit, run, stages_of, take_over
from server import serving

PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())


def tables(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "results/tables").iterdir()}


def snakemake_would_run(folder: Path, *targets: str) -> set[str]:
    output = run(folder, "snakemake", "--dry-run", "--cores", "1", *targets)
    if "Nothing to be done" in output:
        return set()
    stats = output[output.index("Job stats:") :].splitlines()[3:]
    rules = [line.split()[0] for line in stats[: stats.index("")]]
    return set(rules) - {"all", "total"}


def dvc_runs(folder: Path, *options: str) -> set[str]:
    """The kinds of stages that `dvc repro` runs (or would run, with "--dry"), but for ``sources``: it always looks."""
    output = run(folder, "dvc", "repro", *options)
    return {name.partition("@")[0] for name in re.findall(r"Running stage '([^']+)'", output)} - {"sources"}


def dag_differences(folder: Path) -> list[str]:
    params = read_params(folder / "params.yaml")
    return differences(stages_of(folder, "snakemake"), stages_of(folder, "dvc"), params)


@pytest.mark.parametrize("suite", PARAMS["suites"])
def test_both_engines_define_the_same_dag(tmp_path, suite):
    assert dag_differences(copy_project(tmp_path, suite)) == []


OWN = """
  own: &own
    <<: *defaults
    datasets:
      photos: {download: {train: photos}, crop: {resolution: 32}, reference: {}}
    codecs:
      photos: {dataset: photos}
    runs:
      photos: {weights: trained, dataset: photos, codec: photos}
    cells:
      photos: {run: photos, reference: photos, checkpoint: last}
"""


def test_ten_keys_are_enough_for_own_images(tmp_path):
    """A data set with its codec, a model and a cell; what follows is all that both engines need to be told."""
    assert len(re.findall(r"[\w<]+: [*\w]", OWN.replace("own: &own", ""))) == 10
    folder = copy_project(tmp_path)
    edit(folder / "params.yaml", "suite: *micro", f"{OWN}\nsuite: *own")
    assert dag_differences(folder) == []
    suite = load_suite(folder / "params.yaml")
    dataset, codec = suite.datasets["photos"], suite.codecs["photos"]
    assert (dataset.download.source, dataset.crop.method, dataset.crop.jpeg_quality) == ("files", "center", 95)
    assert (codec.space, codec.block_size, codec.kept_coefficients) == ("dct", 2, 4)
    (folder / "photos").mkdir()
    noise = np.random.default_rng(1)
    for number in range(40):
        pixels = noise.integers(0, 256, [*noise.integers(20, 60, 2).tolist(), 3], dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"photos/{number:02}.png")
    run(folder, "snakemake", "--cores", "1", "results/statistics/codecs/photos.json", "data/photos/reference.npz",
        "data/photos/heldout.zip")  # fmt: skip
    assert json.loads((folder / "results/statistics/codecs/photos.json").read_text())["n_images"] == 40
    assert len(image_names(folder / "data/photos/heldout.zip")) == 4


GRID = "    grid:\n      micro32-rgb: {lr: [0.001, 0.002], seed: [1, 2]}\n    selections:\n"


def test_a_grid_is_the_same_for_both_engines(tmp_path):
    """DVC has read its stages before anything runs, so it stops once."""
    folder, told = copy_project(tmp_path), "DVC did not know the grid of params.yaml yet"
    before = edit_micro(folder, "    selections:\n", GRID)
    assert told in run(folder, "dvc", "repro", "validate", fails=True)
    assert dag_differences(folder) == []
    run(folder, "dvc", "repro", "plan")
    planned = json.loads((folder / "results/plan.json").read_text())["runs"]
    assert len(planned) == len(PARAMS["suites"]["micro"]["runs"]) + 3
    commands = {name: stage.command for name, stage in stages_of(folder, "dvc").items()}
    assert " --lr 0.002 " in commands["weights@micro32-rgb-lr0_002-seed2"]
    assert " --run micro32-rgb-lr0_002-seed2 " in commands["sample@micro-rgb-dpm-lr0_002-seed2"]
    (folder / "params.yaml").write_text(before)
    assert told in run(folder, "dvc", "repro", "plan", fails=True)
    assert "weights@micro32-rgb-lr0_002-seed2" not in stages_of(folder, "dvc")


PIXEL_RELEASE = "codec: micro32-pixel\n        release: {file: b.pth, resolution: 32, patch_size: 8}"


def remove_trained_runs(folder: Path) -> None:
    """Those of the micro suite whose networks no release has, and their cells."""
    text = (folder / "params.yaml").read_text()
    two_lines = [f"      micro32-{name}:\n        {{<<: *micro-run," for name in ("rgb", "dit", "latent-each-step")]
    cells = [f"      micro-{name}:" for name in ("rgb-dpm", "dit-ddpm", "latent-dpm")]
    for start in (*two_lines, "      micro32-latent: {<<: *micro-run,", *cells):
        first = text.index(start)
        text = text[:first] + text[text.index("\n", first + len(start)) + 1 :]
    (folder / "params.yaml").write_text(text)
    published, untold = folder / "data/published.yaml", "  not_published:\n    micro32-dit: [embed_dim, lr]\n"
    text = published.read_text()
    assert untold in text
    published.write_text(text.replace(untold, ""))


def test_both_engines_import_what_is_published(tmp_path):
    """Weights and reference come from files: Snakemake then waits for no images, DVC has no conditions."""
    folder = copy_project(tmp_path)
    dct = "{file: a.pth, resolution: 32, block_size: 4, kept_coefficients: 9, eta: 240.0}"
    edit_micro(folder, "weights: trained", f"weights: published\n        release: {dct}")
    edit_micro(folder, "codec: micro32-pixel\n        snr", f"{PIXEL_RELEASE}\n        snr")
    remove_trained_runs(folder)
    edit_micro(folder, "reference: {n_images: 64}", "reference: {file: stats.npz}")
    assert dag_differences(folder) == []
    snakemake = stages_of(folder, "snakemake")
    assert "pack@micro32" not in snakemake
    assert snakemake["weights@micro32-dctdiff"].command.startswith("python -m dctdiff.stages.weights_published ")
    for name in ("weights@micro32-dctdiff", "reference@micro32"):
        assert not snakemake[name].inputs


def test_both_engines_fetch_released_weights(tmp_path):
    """Once; then the network may be away, and an edit of the digest or the address is seen."""
    folder, job = copy_project(tmp_path), "weights@micro32-dctdiff"
    target = "results/runs/micro32-dctdiff/last.safetensors"
    config = ModelConfig("dct", 32, 16, 2, 2, 4.0, block_size=4, kept_coefficients=9, eta=240.0)
    write_state_dict(tmp_path / "released.pth", config.network().state_dict())
    content, digest = (tmp_path / "released.pth").read_bytes(), sha256(tmp_path / "released.pth")
    with serving(content) as server:
        url = f"http://127.0.0.1:{server.server_port}/some/mid.pth"
        release = f"{{url: '{url}', sha256: {digest}, resolution: 32, block_size: 4, kept_coefficients: 9, eta: 240.0}}"
        edit_micro(folder, "weights: trained", f"weights: published\n        release: {release}")
        edit_micro(folder, "codec: micro32-pixel\n        snr", f"{PIXEL_RELEASE}\n        snr")
        remove_trained_runs(folder)
        run(folder, "snakemake", "--cores", "1", target)
        assert server.ranges == [None]
    assert not (folder / "data/micro32").exists()
    assert snakemake_would_run(folder, target) == set()
    by_snakemake = (folder / target).read_bytes()
    assert "weights" in dvc_runs(folder, job)  # without the server
    assert (folder / target).read_bytes() == by_snakemake
    assert dvc_runs(folder, job) == set() and snakemake_would_run(folder, target) == set()
    for old, new, said in (
        ("some/mid.pth", "other/mid.pth", None),
        (digest, digest[::-1], f"data/sources/weights/mid.pth has the SHA-256 {digest}, but release.sha256 is"),
    ):
        before = edit_micro(folder, old, new)
        assert snakemake_would_run(folder, target) == {"weights"}
        assert "weights" in dvc_runs(folder, job, "--dry")
        if said:
            assert said in run(folder, "snakemake", "--cores", "1", target, fails=True)
        (folder / "params.yaml").write_text(before)


def test_cells_of_released_weights_need_neither_training_nor_images(tmp_path):
    """What `snakemake --until evaluate` runs."""
    stages = stages_of(copy_project(tmp_path, "paper-released"), "snakemake")
    writers = {output: name for name, stage in stages.items() for output in stage.outputs}
    needed = {name for name in stages if name.startswith("evaluate@")}
    assert len(needed) == len(PARAMS["suites"]["paper-released"]["cells"])
    while more := {writers[path] for name in needed for path in stages[name].inputs if path in writers} - needed:
        needed |= more
    assert {name.partition("@")[0] for name in needed} == {"reference", "weights", "sample", "evaluate"}
    files = {path for name in needed for path in stages[name].inputs}
    assert files <= writers.keys()  # nothing but what these make: what is fetched stands in no input


MODELS, DATA = "workflow/rules/models.smk", "workflow/rules/data.smk"
DROPPED = [
    ("dvc.yaml", "        - results/statistics/codecs/${item.codec}.json\n"),
    ("dvc.yaml", "        - results/code/sample/${key}.txt\n"),
    ("dvc.yaml", "      - results/training\n"),
    ("dvc.yaml", "        - results/runs/${key}/checkpoints\n        - data/${item.reference}/reference.npz\n"),
    ("dvc.yaml", " ${item.reference}\n"),
    ("dvc.yaml", " ${suite.extractor}\n"),
    ("dvc.yaml", "        - data/${item.dataset}/train.npy\n"),
    ("dvc.yaml", "        - results/latents/${item.codec}.npy\n"),
    (MODELS, "        pixels=weights_pixels,\n"),
    (MODELS, "        latents=weights_latents,\n"),
    (DATA, "        latents=codec_latents,\n"),
    (MODELS, "        statistics=weights_statistics,\n"),
    (MODELS, '        stale=stale("weights"),\n'),
    (MODELS, " {params.arguments}"),
]


@pytest.fixture(scope="module")
def micro_stages(tmp_path_factory):
    folder = copy_project(tmp_path_factory.mktemp("micro"))
    return {engine: stages_of(folder, engine) for engine in ("snakemake", "dvc")}


@pytest.mark.parametrize(("file", "text"), DROPPED)
def test_a_dropped_dependency_is_noticed(tmp_path, micro_stages, file, text):
    """An input, or a slice of params.yaml, which stands in the command."""
    folder = copy_project(tmp_path)
    edit(folder / file, text, "\n" if text.endswith("}\n") else "")
    engine = "dvc" if file == "dvc.yaml" else "snakemake"
    stages = {**micro_stages, engine: stages_of(folder, engine)}
    field = ": command: " if text.startswith((" $", " {")) else ": inputs: "
    found = differences(**stages, params={"suite": PARAMS["suites"]["micro"]})
    assert any(field in difference for difference in found)


@pytest.fixture(scope="module")
def finished(made, tmp_path_factory):
    """The micro suite, made by each engine in a folder of its own."""
    folder = tmp_path_factory.mktemp("finished")
    for engine, source in zip(("snakemake", "dvc"), made, strict=True):
        shutil.copytree(source, folder / engine, symlinks=True)
    return folder / "snakemake", folder / "dvc"


def test_tables_are_byte_identical(finished):
    assert tables(finished[0]) == tables(finished[1])
    assert "FD (EfficientNet-Lite0)" in tables(finished[0])["quality.md"].decode()


def test_tables_are_those_of_other_machines(finished):
    """An AMD EPYC and an Intel Xeon made those of tests/expected, byte for byte; others may differ in a last digit.

    If a change of the code moves a number and should: run ``suite: *micro``, cp results/tables/*.csv tests/expected.
    """
    made, expected = finished[0] / "results/tables", ROOT / "tests/expected"
    assert {path.name for path in made.glob("*.csv")} == {path.name for path in expected.iterdir()}
    for path in expected.iterdir():
        found, known = (list(csv.reader((folder / path.name).open())) for folder in (made, expected))
        assert len(found) == len(known)
        for row, known_row in zip(found, known, strict=True):
            assert all(map(alike, row, known_row)), f"{path.name}: {row} instead of {known_row}"


def alike(found: str, known: str) -> bool:
    """Whether two fields are equal, or numbers that differ in the last digit by one at most."""
    if found == known or not re.fullmatch(r"-?\d+\.\d+", known):
        return found == known
    unit = 10.0 ** -len(known.partition(".")[2])
    return abs(float(found) - float(known)) < 1.5 * unit


def test_sections_may_be_empty(finished, tmp_path):
    """As in the default suite, which has no published numbers; tables of the fuller suite disappear."""
    folder = tmp_path / "copy"
    shutil.copytree(finished[0], folder, symlinks=True)
    params = yaml.safe_load((folder / "params.yaml").read_text())["suite"]
    for section in ("truncations", "upsamplings", "spectra", "selections"):
        params[section] = {}
    del params["cells"]["micro-dct-best"]
    params["published"] = None
    (folder / "params.yaml").write_text(yaml.safe_dump({"suites": {"micro": params}, "suite": params}))
    run(folder, "snakemake", "--cores", "2")
    assert {Path(name).stem for name in tables(folder)} == {"quality", "statistics", "training"}
    assert (folder / "results/report/index.html").exists()


@pytest.mark.parametrize("suite", PARAMS["suites"])
def test_dvc_plans_every_suite(tmp_path, suite):
    """DVC is given each section by its name, and stops if a suite leaves one out."""
    folder = copy_project(tmp_path, suite)
    run(folder, "dvc", "repro", "plan")
    plan = json.loads((folder / "results/plan.json").read_text())
    assert plan.get("published") == PARAMS["suites"][suite]["published"]


def test_an_evaluation_carries_its_protocol(finished):
    evaluation = json.loads((finished[0] / "results/evaluations/cells/micro-dct-dpm.json").read_text())
    assert evaluation["n_images"] == 16
    assert {"metric", "extractor_sha256", "feature_resolution", "reference_sha256"} <= evaluation["protocol"].keys()
    assert {"sampler", "nfe", "seed", "jpeg_quality", "weights_sha256"} <= evaluation["images"].keys()
    assert {"torch", "python", "threads"} <= evaluation["versions"].keys()


def test_the_report_is_self_contained_and_complete(finished):
    report = (finished[0] / "results/report/index.html").read_text()
    report = re.sub(r"<script.*?</script>", "", report, flags=re.DOTALL)  # the browser of test_page sees what they load
    assert not re.search(r'(src|href)="(?!data:|#)', report)
    for name in ("micro-dct-dpm", "micro-dct-best", "micro-uvit-dpm", "micro-dit-ddpm", "micro32-uvit", "best of 2"):
        assert name in report
    spent = report.partition('<h2 id="spent">')[2]
    assert "<td>weights</td>" in spent and "<td>report</td>" in spent  # which was running then


def test_the_work_of_one_engine_is_valid_for_the_other(finished):
    by_snakemake, by_dvc = finished
    assert snakemake_would_run(by_snakemake) == set()
    take_over(by_snakemake)
    assert dvc_runs(by_snakemake, "--dry") == set()
    assert json.loads(run(by_snakemake, "dvc", "status", "--json")) == {"sources": ["always changed"]}
    assert snakemake_would_run(by_snakemake) == set()  # although DVC wrote the files anew

    assert snakemake_would_run(by_dvc) == set()
    before = edit_micro(by_dvc, "nfe: 2", "nfe: 4")
    assert snakemake_would_run(by_dvc) == {"plan", "sample", "evaluate", *RESULTS}
    (by_dvc / "params.yaml").write_text(before)
    assert snakemake_would_run(by_dvc) == set()


def test_a_grid_trains_only_what_it_adds(finished):
    folder = finished[0]
    before = edit_micro(folder, "    selections:\n", GRID)
    output = run(folder, "snakemake", "--dry-run", "--cores", "1")
    assert sorted(re.findall(r"Job \d+: (weights [\w-]+)", output)) == [
        f"weights micro32-rgb-{name}" for name in ("lr0_001-seed2", "lr0_002-seed1", "lr0_002-seed2")
    ]
    assert snakemake_would_run(folder) == {"plan", "weights", "sample", "evaluate", *RESULTS}
    (folder / "params.yaml").write_text(before)
    assert snakemake_would_run(folder) == set()


def test_snakemakes_own_tools(finished, tmp_path):
    """Its report holds what was made, its linter finds what docs/engines.md names, and what it prints can be read."""
    folder = finished[0]
    page = tmp_path / "report.html"
    run(folder, "snakemake", "--report", str(page))
    text = page.read_text()
    for shown in ('{"table": "quality", "format": ".md"}', '{"figure": "loss"}', '{"cell": "micro-dct-dpm"}',
                  '{"dataset": "micro32"}', "Some images of the cell micro-dct-dpm, made by"):  # fmt: skip
        assert shown in text
    found = re.findall(r"^    \* (.*)$", run(folder, "snakemake", "--lint", fails=True), flags=re.MULTILINE)
    assert set(found) == {"Specify a conda environment or container for each rule.:"}
    refused = run(folder, "snakemake", "--dry-run", "--config", "lr=0.1", fails=True)
    assert "--config and --configfile are not supported: edit params.yaml" in refused
    output = run(folder, "snakemake", "--dry-run", "--forceall", "--cores", "1")
    printed = output.splitlines()
    assert len([line for line in printed if re.match(r"Job \d+: ", line)]) == int(re.search(r"total +(\d+)", output)[1])
    assert max(map(len, printed[: printed.index("Reasons:")])) < 120


def test_dvc_compares_distances_and_pictures(finished):
    folder = finished[1]
    metrics = json.loads(run(folder, "dvc", "metrics", "show", "--json"))
    assert "micro-dct-dpm" in str(metrics) and "results/metrics.json" in str(metrics)
    run(folder, "dvc", "plots", "show")
    pictures = {path.name for path in (folder / "dvc_plots/static").iterdir()}
    assert {"workspace_results_figures_loss.png", "workspace_results_grids_cells_micro-dct-dpm.png"} <= pictures


RESULTS = {"tables", "report"}
EDITS = [
    ("nfe: 3, n_images: 8", "nfe: 4, n_images: 8", {"plan", "select", "sample", "evaluate", *RESULTS}),
    ("lr: 0.001", "lr: 0.002", {"plan", "weights", "select", "sample", "evaluate", *RESULTS}),
    ("times: [0.1", "times: [0.2", {"plan", "spectrum", *RESULTS}),
    ("bound: 0.5", "bound: 9.5", {"plan", "truncation", *RESULTS}),
    ("dpi: 60", "dpi: 61", {"report"}),
    ("feature_resolution: 32", "feature_resolution: 64",
     {"reference", "truncation", "upsampling", "select", "sample", "evaluate_heldout", "evaluate_round_trip",
      "evaluate", *RESULTS}),
]  # fmt: skip


def edit_micro(folder: Path, old: str, new: str) -> str:
    """Edit the micro suite of params.yaml; returns the text as it was."""
    before = (folder / "params.yaml").read_text()
    head, micro = before.split("  micro: &micro")
    assert old in micro
    (folder / "params.yaml").write_text(f"{head}  micro: &micro{micro.replace(old, new, 1)}")
    return before


@pytest.mark.parametrize(("old", "new", "expected"), EDITS, ids=[old for old, _, _ in EDITS])
def test_snakemake_reruns_only_what_depends_on_an_edit(finished, old, new, expected):
    before = edit_micro(finished[0], old, new)
    assert snakemake_would_run(finished[0]) == expected
    (finished[0] / "params.yaml").write_text(before)


def test_a_published_number_reruns_what_shows_it(finished):
    for folder, would_run in ((finished[0], snakemake_would_run), (finished[1], lambda f: dvc_runs(f, "--dry"))):
        before = (folder / "data/published.yaml").read_text()
        edit(folder / "data/published.yaml", "value: 7, source: nowhere", "value: 8, source: nowhere")
        assert would_run(folder) - {"validate"} == RESULTS
        (folder / "data/published.yaml").write_text(before)
        assert would_run(folder) == set()


def test_dvc_reruns_only_what_depends_on_an_edit(finished):
    by_dvc = finished[1]
    before = tables(by_dvc)
    edit_micro(by_dvc, "nfe: 2", "nfe: 4")
    assert dvc_runs(by_dvc) == {"validate", "code", "plan", "sample", "evaluate", *RESULTS}
    assert tables(by_dvc)["quality.csv"] != before["quality.csv"]
    assert tables(by_dvc)["training.csv"] == before["training.csv"]
    edit_micro(by_dvc, "dpi: 60", "dpi: 61")
    assert dvc_runs(by_dvc) == {"validate", "report"}
    edit(by_dvc / "src/dctdiff/diffusion/samplers.py", "import itertools", "import itertools  # a comment")
    assert dvc_runs(by_dvc) == {"code"}
    edit(by_dvc / "src/dctdiff/report/charts/style.py", "WIDE_RANGE = 10", "WIDE_RANGE = 11")
    assert dvc_runs(by_dvc) == {"code", "report"}


def test_an_edited_local_folder_is_seen_by_both_engines(tmp_path):
    """An image that is changed, added, renamed or removed; but not one that only has another date."""
    folder = copy_project(tmp_path)
    (folder / "photos").mkdir()
    for number in range(3):
        Image.new("RGB", (16, 16), (number, 0, 0)).save(folder / f"photos/{number}.png")
    document = yaml.safe_load((folder / "params.yaml").read_text())
    download = document["suite"]["datasets"]["micro32"]["download"] = {
        "source": "files",
        "train": "photos",
    }
    document["suites"] = {"micro": document["suite"]}
    (folder / "params.yaml").write_text(yaml.safe_dump(document))
    job, target = "download@micro32", "data/micro32/source.zip"
    assert dvc_runs(folder, job) == {"validate", "code", "download"}
    assert dvc_runs(folder, job) == set()
    assert snakemake_would_run(folder, target) == set()
    photos = folder / "photos"
    for edited in (
        lambda: Image.new("RGB", (16, 16), (9, 9, 9)).save(photos / "1.png"),
        lambda: Image.new("RGB", (16, 16), (7, 7, 7)).save(photos / "3.png"),
        lambda: (photos / "3.png").rename(photos / "4.png"),
        lambda: (photos / "0.png").unlink(),
    ):
        edited()
        assert snakemake_would_run(folder, target) == {"download"}
        assert dvc_runs(folder, job) == {"download"}
        assert snakemake_would_run(folder, target) == set()
    assert image_names(folder / target) == [f"train/{number}.png" for number in (1, 2, 4)]
    (photos / "1.png").touch()
    assert snakemake_would_run(folder, target) == dvc_runs(folder, job) == set()
    shutil.rmtree(folder / download["train"])  # as for someone who has pulled the results
    assert dvc_runs(folder, job) == set()
    assert snakemake_would_run(folder, target) == set()


def test_an_experiment_that_is_stashed_is_not_taken_for_the_params_of_before(finished):
    """``dvc exp run`` changes params.yaml and the results; git takes only params.yaml back."""
    folder = finished[1]
    for words in (["config", "user.name", "a"], ["config", "user.email", "a@b"], ["add", "params.yaml", "dvc.lock"]):
        run(folder, "git", *words)
    run(folder, "git", "commit", "--quiet", "--message", "before")
    run(folder, "dvc", "exp", "run", "--set-param", "suite.cells.micro-dct-dpm.nfe=5")
    shown = run(folder, "dvc", "exp", "show", "--only-changed", "--drop", "results/|suites", "--csv")
    columns = shown.splitlines()[0].split(",")
    assert [column for column in columns if column.startswith("suite")] == ["suite.cells.micro-dct-dpm.nfe"]
    assert "micro-dct-dpm" in columns  # its distance
    assert snakemake_would_run(folder) == set()
    run(folder, "git", "stash")
    assert snakemake_would_run(folder) == {"plan", "sample", "evaluate", *RESULTS}
    assert "stale    sample micro-dct-dpm: params" in run(folder, "python", "-m", "dctdiff.commands.status")


def test_a_wrong_key_or_line_stops_both_engines_before_any_work(tmp_path):
    folder = copy_project(tmp_path)
    params = folder / "params.yaml"
    head, micro = params.read_text().split("  micro: &micro")
    params.write_text(f"{head}  micro: &micro{micro.replace('lr: 0.001', 'lrr: 0.001', 1)}")
    message = "params.yaml: suite.runs.micro32-dctdiff.lrr is unknown; did you mean lr?"
    for command in (["snakemake", "--cores", "1"], ["dvc", "repro"]):
        output = run(folder, *command, fails=True)
        assert message in output
        assert "Traceback" not in output
    params.write_text(f'{head}  micro: "not closed\n')
    output = run(folder, "snakemake", "--cores", "1", fails=True)  # DVC names file and line by itself
    assert f"params.yaml: line {head.count(chr(10)) + 1}, column 10" in output and "close the quotes" in output
    assert {path.name for path in (folder / "results").iterdir()} == {"ledger"}
    assert not (folder / "data/micro32").exists()
