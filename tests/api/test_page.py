"""docs/api.md and docs/tour.ipynb are true: their examples run, and print what they say."""

import contextlib
import io
import json
import re
import shlex

import pytest
import torch
import yaml
from PIL import Image

from dctdiff.commands import shell
from dctdiff.data.archive import decode_image, write_archive
from dctdiff.data.photographs import read_photographs
from dctdiff.models.config import ModelConfig
from dctdiff.models.weights import save_model
from dctdiff.pipeline.errors import UserError
from engines import ROOT, load
from synthetic import encoded

PAGE = (ROOT / "docs/api.md").read_text()
RUN = "photos16-dctdiff"
ETA = 253.625  # as the suite measures it


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Weights of the sizes of the default suite, images and a photograph, where the examples expect them."""
    suite = yaml.safe_load((ROOT / "params.yaml").read_text())["suites"]["demo"]
    run = suite["runs"][RUN]
    codec = suite["codecs"][run["codec"]]
    config = ModelConfig(
        "dct", 16, run["embed_dim"], run["depth"], run["num_heads"], run["snr_scale"], codec["block_size"],
        codec["kept_coefficients"], ETA, prediction=run["prediction"],
    )  # fmt: skip
    network = config.network()
    network.initialise(torch.Generator().manual_seed(0))
    save_model(tmp_path / f"results/runs/{RUN}/last.safetensors", network.state_dict(), config)
    entries = [(f"{index}.png", encoded(index, 16, 16, "PNG")) for index in range(4)]
    write_archive(tmp_path / "data/photos16/heldout.zip", entries, {})
    photograph = decode_image(dict(read_photographs())["astronaut.png"], "astronaut.png")
    Image.fromarray(photograph).save(tmp_path / "photo.png")
    (tmp_path / "docs").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)


def test_what_is_generated_is_current():
    docs = load("docs")
    assert docs.replaced(PAGE, "api", docs.api_text()) == PAGE, "run make docs"
    assert docs.replaced(PAGE, "commands", docs.commands_text()) == PAGE, "run make docs"


def test_the_example_runs_and_has_the_shapes_that_it_says(project, capsys):
    [example] = blocks("python")
    values = {}
    exec(example, values)
    assert capsys.readouterr().out.startswith("FD (EfficientNet-Lite0) ")
    for name, shape, dtype in re.findall(r"^(\w+) = .*# (\(.*\)) (\w+)$", example, flags=re.MULTILINE):
        if name not in ("tokens", "images"):  # which are made anew below
            assert (str(values[name].shape), str(values[name].dtype)) == (shape, dtype)
    assert values["images"].shape == (16, 16, 16, 3) and values["tokens"].shape == (1, 1024, 54)


def said(words: list[str], monkeypatch) -> str:
    """What a command prints, its warnings and its error included, as in a shell."""
    monkeypatch.setattr("sys.argv", words)
    text = io.StringIO()
    with contextlib.redirect_stdout(text), pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.showwarning", lambda message, *rest: print(f"warning: {message}"))
        try:
            shell.main()
        except UserError as error:
            print(f"error: {error}")
    return text.getvalue()


def test_commands_print_what_the_page_shows(project, monkeypatch):
    """But for the number of a distance, since the weights are random here."""
    [session] = blocks("console")
    shown = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", session, flags=re.MULTILINE)
    assert len(shown) >= 8
    for command, output in shown:
        found = said(shlex.split(command), monkeypatch)
        if " fid " in command:
            found, output = (re.sub(r"\d+(\.\d+)?", "0", text) for text in (found, output))
        assert found == output, command


def test_the_notebook_runs_from_top_to_bottom_and_prints_what_it_shows(project, monkeypatch):
    notebook = load("notebook")
    stored = json.loads((ROOT / "docs/tour.ipynb").read_text())
    monkeypatch.chdir(project / "docs")
    made = notebook.executed(stored)
    assert [cell.get("execution_count") for cell in made["cells"]] == [
        cell.get("execution_count") for cell in stored["cells"]
    ]
    for cell, shown in zip(made["cells"], stored["cells"], strict=True):
        if cell["cell_type"] == "code":
            assert notebook.printed(cell) == notebook.printed(shown), "run make docs"
            assert len(cell["outputs"]) == len(shown["outputs"]) > 0


def test_a_cell_shows_what_jupyter_would():
    source = ["import matplotlib.pyplot as plt\n", "print('one')\n", "plt.subplots()\n", "None"]
    cells = [{"cell_type": "code", "source": source}, {"cell_type": "markdown", "source": ["x"]}]
    [cell, words] = load("notebook").executed({"cells": cells})["cells"]
    assert words == cells[1] and cell["execution_count"] == 1
    assert [output["output_type"] for output in cell["outputs"]] == ["stream", "display_data"]
    assert load("notebook").printed(cell) == "one\n"
    with pytest.raises(NameError):
        load("notebook").executed({"cells": [{"cell_type": "code", "source": ["absent"]}]})
