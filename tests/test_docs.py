"""README and docs: the keys of params.yaml that the code knows, and room for every result shown."""

import importlib.util

from engines import ROOT


def load(name: str):
    spec = importlib.util.spec_from_file_location(name, ROOT / f"workflow/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_of_keys_is_current():
    docs = load("docs")
    text = (ROOT / "docs/params.md").read_text()
    assert docs.replaced(text, "keys", docs.keys_table()) == text, "run make docs"


def test_the_readme_has_a_place_for_every_table_it_shows():
    docs = load("docs")
    readme = (ROOT / "README.md").read_text()
    for suite, shown in docs.SHOWN.items():
        for table in shown.tables:
            assert docs.replaced(readme, f"{suite}-{table}", "x") != readme


def test_the_speeds_of_the_readme_are_those_of_the_files():
    docs = load("docs")
    readme = (ROOT / "README.md").read_text()
    for name, table in docs.build_tables(docs.read_results(ROOT / "docs/bench")).items():
        assert docs.replaced(readme, f"bench-{name}", table) == readme, "run make bench-docs"
