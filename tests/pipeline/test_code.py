"""The code behind a number: what counts, and what does not."""

import ast
import hashlib

import pytest

from dctdiff.pipeline import code

FILES = {
    "__init__.py": "",
    "pipeline/__init__.py": "",
    "pipeline/files.py": "def read(x):\n    return x\n",
    "a.py": "from pack.b import f\nfrom pack.pipeline.files import read\n\n\ndef main():\n    return read(f())\n",
    "b.py": '''"""Doc."""
from pack.c import Shape, REGISTRY
from pack import d
import numpy as np

SCALE = 2
UNUSED = 3


def f(key: str = "one", shape: Shape = None):
    """Doc."""
    if key == "none":
        raise ValueError(f"a message about {key}")
    return REGISTRY[key](SCALE) + d.g() + np.sum(shape.area())
''',
    "c.py": """from numbers import Number


def one(x):
    return x + 1


def two(x):
    return x + 2


REGISTRY = {"one": one, "two": two}


class Base:
    def __init__(self):
        self.side = 1

    def area(self):
        return self.side


class Shape(Base):
    colour: str = "red"
    label: str | None = None
    depth: int

    def volume(self):
        return self.side**3


class Callback(Number):
    def called_from_outside(self):
        return 1
""",
    "d.py": "from pack.c import Callback\n\n\ndef g():\n    return Callback\n\n\ndef unused():\n    return 5\n",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    root = tmp_path / "pack"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    monkeypatch.setattr(code, "PACKAGE", root)
    code._text.cache_clear()
    yield root
    code._text.cache_clear()


def meaning(**options):
    code._text.cache_clear()
    return code.meaning(["pack.a.main"], **options)


def test_what_is_reached(package):
    expected = {"a.main", "b.SCALE", "b.f", "c.Base", "c.Base.__init__", "c.Base.area", "c.Callback",
                "c.Callback.called_from_outside", "c.REGISTRY", "c.Shape", "c.one", "c.two", "d.g"}  # fmt: skip
    assert set(meaning()) == expected
    assert set(meaning(chosen={"REGISTRY": "one"})) == expected - {"c.two"}
    assert set(meaning(without=("d",))) == expected - {"d.g", "c.Callback", "c.Callback.called_from_outside"}


def edited(package, name, old, new):
    path = package / name
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("b.py", '"""Doc."""\nfrom', '"""Other words."""\nfrom'),
        ("b.py", "SCALE = 2", "SCALE = (2)  # why"),
        ("b.py", "a message about {key}", "other words about {key}"),
        ("b.py", "key: str = ", "key: object = "),
        ("b.py", "UNUSED = 3", "UNUSED = 4"),
        ("d.py", "return 5", "return 6"),
        ("c.py", "return self.side**3", "return self.side**2"),
        ("c.py", "    label: str | None = None\n", "    label: str | None = None\n    new: bool = False\n"),
        ("pipeline/files.py", "return x", "return list(x)"),
    ],
)
def test_what_does_not_count(package, name, old, new):
    before = meaning()
    edited(package, name, old, new)
    assert meaning() == before


@pytest.mark.parametrize(
    ("name", "old", "new", "changed"),
    [
        ("b.py", "SCALE = 2", "SCALE = 3", ["b.SCALE"]),
        ("b.py", 'key: str = "one"', 'key: str = "two"', ["b.f"]),
        ("b.py", 'key == "none"', 'key == "nothing"', ["b.f"]),
        ("b.py", "import numpy as np", "import math as np", ["b.f"]),
        ("c.py", "return self.side\n", "return self.side + 0\n", ["c.Base.area"]),
        ("c.py", "self.side = 1", "self.side = 2", ["c.Base.__init__"]),
        ("c.py", '"red"', '"blue"', ["c.Shape"]),
        (
            "c.py",
            "class Shape(Base):\n",
            "class Shape(Base):\n    def area(self):\n        return 7\n\n",
            ["c.Shape.area"],
        ),
        ("c.py", "        return 1\n", "        return 2\n", ["c.Callback.called_from_outside"]),
        ("c.py", '"two": two', '"two": one', ["c.REGISTRY", "c.two"]),
        ("d.py", "def g():", "LIMIT = 1\nLIMIT = LIMIT + 1\n\n\ndef g():", ["d.LIMIT", "d.__init__"]),
        ("d.py", "def g():", "if True:\n    LIMIT = 1\n\n\ndef g():", ["d.LIMIT", "d.__init__"]),
        ("__init__.py", "", "import os\n\nos.environ['A'] = '1'\n", ["__init__"]),
    ],
)
def test_what_counts_and_how_it_is_called(package, name, old, new, changed):
    before = meaning()
    if old:
        edited(package, name, old, new)
    else:
        (package / name).write_text(new)
    after = meaning()
    assert code.differences(before, after) == changed
    assert code.digest_of(before) != code.digest_of(after)


def test_a_new_entry_of_a_registry_changes_nothing_for_the_others(package):
    before = meaning(chosen={"REGISTRY": "one"})
    edited(package, "c.py", '"two": two}', '"two": two, "three": lambda x: x + 3}')
    assert meaning(chosen={"REGISTRY": "one"}) == before
    assert meaning(chosen={"REGISTRY": "three"}) != before
    with pytest.raises(ValueError, match=r"c\.REGISTRY has no four"):
        meaning(chosen={"REGISTRY": "four"})


NAMED = """from typing import Literal

from pack.pipeline.named import At


class Entry:
    words: str
    left: At


REGISTRY = {
    "one": Entry(words="One", left=At("pack.f.one"), right=At("pack.f.other_one")),
    "two": Entry(words="Two", left=At("pack.f.two")),
}


class Params:
    key: Literal[*REGISTRY]


def main(params: Params):
    return REGISTRY[params.key].left.imported()
"""


@pytest.fixture
def named(package):
    """A registry that names its code: whoever uses it imports only one of them."""
    (package / "a.py").write_text(NAMED)
    (package / "f.py").write_text("".join(f"def {name}():\n    return 1\n\n\n" for name in ("one", "two", "other_one")))
    return package


def test_code_that_a_registry_names_counts_where_it_is_chosen(named):
    everything = {"a.Entry", "a.Params", "a.REGISTRY", "a.main", "f.one", "f.other_one", "f.two"}
    assert meaning().keys() == everything
    assert meaning(chosen={"REGISTRY": "one"}).keys() == everything - {"f.two"}
    assert meaning(chosen={"REGISTRY": "one.left"}).keys() == everything - {"f.two", "f.other_one", "a.Entry"}
    before = meaning(chosen={"REGISTRY": "one.left"})
    edited(named, "f.py", "def one():\n    return 1", "def one():\n    return 2")
    assert code.differences(before, meaning(chosen={"REGISTRY": "one.left"})) == ["f.one"]
    with pytest.raises(ValueError, match=r"a\.REGISTRY has no two\.right"):
        meaning(chosen={"REGISTRY": "two.right"})


def test_code_that_a_registry_names_does_not_count_where_nothing_imports_it(named):
    edited(named, "a.py", ".left.imported()", ".words")
    assert meaning().keys() == {"a.Entry", "a.Params", "a.REGISTRY", "a.main"}


def test_which_entries_there_are_does_not_count(named):
    edited(named, "a.py", "REGISTRY[params.key].left.imported()", "params.key")
    assert meaning().keys() == {"a.Params", "a.main"}


@pytest.mark.parametrize(
    ("old", "new"), [('words="One"', 'words="1"'), ("REGISTRY = {", 'REGISTRY = {\n    "new": Entry(words="New"),')]
)
def test_words_of_an_entry_and_new_entries_do_not_count_for_what_is_chosen(named, old, new):
    for chosen in ("one", "one.left", "two"):
        before = meaning(chosen={"REGISTRY": chosen})
        text = (named / "a.py").read_text()
        edited(named, "a.py", old, new)
        assert meaning(chosen={"REGISTRY": chosen}) == before
        (named / "a.py").write_text(text)


@pytest.mark.parametrize("registry", ["dict(one=one, two=two)", '{**{"one": one}, "two": two}'])
def test_of_a_registry_that_is_put_together_all_counts(package, registry):
    edited(package, "c.py", '{"one": one, "two": two}', registry)
    assert {"c.one", "c.two"} <= meaning(chosen={"REGISTRY": "one"}).keys()


def test_a_root_that_is_gone_is_an_error(package):
    with pytest.raises(ValueError, match=r"pack\.a\.gone is not defined"):
        code.meaning(["pack.a.gone"])


def test_the_code_of_a_process_is_that_of_its_start(package):
    before = code.meaning(["pack.a.main"])
    edited(package, "b.py", "SCALE = 2", "SCALE = 3")
    assert code.meaning(["pack.a.main"]) == before
    code._text.cache_clear()
    assert code.meaning(["pack.a.main"]) != before


def test_alternatives_that_an_if_or_try_defines_count(package):
    (package / "e.py").write_text(
        "try:\n    from fast import h\nexcept ImportError:\n\n    def h():\n        return 1\n"
    )
    edited(
        package, "d.py", "def g():\n    return Callback", "from pack.e import h\n\n\ndef g():\n    return h(Callback)"
    )
    before = meaning()
    edited(package, "e.py", "return 1", "return 3")
    assert code.differences(before, meaning()) == ["e.__init__"]


def test_what_an_import_does_counts_though_nothing_of_it_is_named(package):
    edited(package, "a.py", "from pack.b", "import pack.e\nfrom pack.b")
    (package / "e.py").write_text("from pack import f\n")
    (package / "f.py").write_text("import os\n\nos.environ['A'] = '1'\n")
    before = meaning()
    edited(package, "f.py", "'1'", "'2'")
    assert code.differences(before, meaning()) == ["f.__init__"]


def test_digests_do_not_depend_on_the_version_of_python():
    """Later ones print f-strings otherwise, and have fields more in their trees. What 3.11, 3.12 and 3.13 gave:"""
    text = "def f(x: int = 1, *, y=None) -> str:\n    return f\"{x!r:>{y}} {'a'}\" if y else lambda z: [z, *x]\n"
    (function,) = ast.parse(text).body
    written = code._written(code.Stripped().visit(function))
    assert hashlib.sha256(written.encode()).hexdigest()[:16] == "060b2f45b4dccbc4"
