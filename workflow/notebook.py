"""Run a notebook from top to bottom, without Jupyter, and store in it what its cells show.

``python workflow/notebook.py docs/tour.ipynb``, also a part of ``make docs``. What is printed, a picture on a
last line and figures of pyplot are shown, as Jupyter does. Pictures are stored as JPEG, which is small.
"""

import ast
import base64
import contextlib
import io
import json
import sys
from collections.abc import Iterator

import matplotlib
from PIL import Image

from dctdiff.pipeline.files import existing_file, write_text

matplotlib.use("Agg")
from matplotlib import pyplot

JPEG_QUALITY = 88
DPI = 80


def executed(notebook: dict) -> dict:
    """The same notebook with the outputs of its code cells, run in order in one namespace and in this folder."""
    namespace, cells, count = {"__name__": "__main__"}, [], 0
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            count += 1
            name = f"cell {count}"
            cell = {
                **cell,
                "execution_count": count,
                "outputs": list(_outputs("".join(cell["source"]), name, namespace)),
            }
        cells.append(cell)
    return {**notebook, "cells": cells}


def printed(cell: dict) -> str:
    """What a code cell has printed."""
    return "".join(text for output in cell["outputs"] if output["output_type"] == "stream" for text in output["text"])


def _outputs(source: str, name: str, namespace: dict) -> Iterator[dict]:
    tree = ast.parse(source, name)
    last = ast.Expression(tree.body.pop().value) if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    with contextlib.redirect_stdout(io.StringIO()) as text:
        exec(compile(tree, name, "exec"), namespace)
        value = eval(compile(last, name, "eval"), namespace) if last else None
    if text.getvalue():
        yield {"output_type": "stream", "name": "stdout", "text": text.getvalue().splitlines(keepends=True)}
    pictures = [value] if isinstance(value, Image.Image) else []
    for number in pyplot.get_fignums():
        buffer = io.BytesIO()
        pyplot.figure(number).savefig(buffer, dpi=DPI)
        pictures.append(Image.open(buffer).convert("RGB"))
    pyplot.close("all")
    for picture in pictures:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=JPEG_QUALITY)
        data = {"image/jpeg": base64.b64encode(buffer.getvalue()).decode()}
        yield {"output_type": "display_data", "data": data, "metadata": {}}


def main() -> None:
    path = existing_file(sys.argv[1]).absolute()
    notebook = json.loads(path.read_text(encoding="utf-8"))
    with contextlib.chdir(path.parent):  # where Jupyter runs it
        found = executed(notebook)
    write_text(path, json.dumps(found, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
