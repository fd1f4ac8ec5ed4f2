"""Tables of whatever has run, and the state of each job: neither makes anything."""

import shutil

import pandas as pd

from engines import run


def distances(folder) -> list[tuple[str, str]]:
    """Images and their distance, of each row."""
    frame = pd.read_csv(folder / "results/tables/quality.csv", dtype=str, keep_default_na=False)
    return list(zip(frame["images"], frame["FD (EfficientNet-Lite0)"], strict=True))


def test_rows_of_other_params_are_not_shown_and_said(made, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(made[0], folder, symlinks=True)
    shown = distances(folder)
    before = {path.name: path.read_bytes() for path in (folder / "results/tables").iterdir()}
    assert "is not shown" not in run(folder, "python", "-m", "dctdiff.commands.tables")
    assert {path.name: path.read_bytes() for path in (folder / "results/tables").iterdir()} == before
    assert ", 0 stale, 0 missing" in run(folder, "python", "-m", "dctdiff.commands.status")

    head, micro = (folder / "params.yaml").read_text().split("  micro: &micro")
    assert micro.count("skip_bias_std") == 0
    edited = micro.replace("      micro32-uvit:\n", "      micro32-uvit:\n        skip_bias_std: 0.5\n", 1)
    (folder / "params.yaml").write_text(f"{head}  micro: &micro{edited}")
    said = run(folder, "python", "-m", "dctdiff.commands.tables")
    assert "weights micro32-uvit is not shown: params\n" in said
    assert "evaluate micro-uvit-dpm is not shown: sample micro-uvit-dpm is stale\n" in said
    assert distances(folder) == [(name, "not run" if name == "micro32-uvit" else value) for name, value in shown]
    assert "stale    sample micro-uvit-dpm: weights micro32-uvit is stale" in run(
        folder, "python", "-m", "dctdiff.commands.status"
    )
