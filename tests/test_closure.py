"""Import closures and code fingerprints."""

import pytest

from dctdiff import closure


@pytest.fixture
def package(tmp_path, monkeypatch):
    root = tmp_path / "pack"
    (root / "sub").mkdir(parents=True)
    for name, text in {
        "__init__.py": "",
        "a.py": "from pack.b import f\nimport numpy\n",
        "b.py": '"""Doc."""\n\n\ndef f():\n    """Doc."""\n    from pack.sub import c\n    return c.x  # why\n',
        "sub/__init__.py": "",
        "sub/c.py": "x = 1\n",
        "unused.py": "y = 2\n",
    }.items():
        (root / name).write_text(text)
    monkeypatch.setattr(closure, "PACKAGE", root)
    return root


def test_closure_follows_imports_also_inside_functions(package):
    names = [path.relative_to(package).as_posix() for path in closure.import_closure("pack.a")]
    assert names == ["__init__.py", "a.py", "b.py", "sub/__init__.py", "sub/c.py"]


def test_fingerprint_ignores_words_and_layout_but_not_meaning(package):
    before = closure.code_fingerprint("pack.a")
    (package / "b.py").write_text("def f():\n    from pack.sub import c\n\n    return (c.x)  # another why\n")
    (package / "unused.py").write_text("y = 3\n")
    assert closure.code_fingerprint("pack.a") == before
    (package / "sub/c.py").write_text("x = 2\n")
    assert closure.code_fingerprint("pack.a") != before


def test_training_does_not_depend_on_the_look_of_the_report():
    names = {path.stem for path in closure.import_closure("dctdiff.stages.weights_trained")}
    assert {"training", "uvit", "loss", "codec", "draws"} <= names
    assert not names & {"report", "tables", "figures", "samplers", "suite"}
