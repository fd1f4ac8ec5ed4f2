"""The README describes the keys of params.yaml that the code knows."""

import importlib.util

from engines import ROOT


def load(name: str):
    spec = importlib.util.spec_from_file_location(name, ROOT / f"workflow/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_of_keys_is_current():
    docs = load("docs")
    readme = (ROOT / "README.md").read_text()
    assert docs.replaced(readme, "keys", docs.keys_table()) == readme, "run make docs"
