"""YAML documents: both engines are given the same values, and what cannot be read is named with its line."""

import time

import pytest
from dvc.utils.serialize import parse_yaml

from dctdiff.params.document import read_document
from dctdiff.pipeline.errors import UserError
from engines import ROOT

SCALARS = """
010 0o10 0x1F 0b11 1_000 12:30:45 yes no on off Yes true TRUE ~ null 1e-3 1.0e-3 1E5 .5 5. +3 .inf -.inf 1e400 abc
'010' 0.002 -3 08 0o9 1,000 12e03
""".split()  # noqa: SIM905


def written(tmp_path, content: str | bytes):
    path = tmp_path / "params.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("scalar", SCALARS)
def test_a_value_is_what_dvc_reads(tmp_path, scalar):
    text = f"key: {scalar}\nlist:\n- {scalar}\n"
    assert repr(dict(read_document(written(tmp_path, text)))) == repr(parse_yaml(text, "params.yaml"))


def test_the_params_of_the_project_are_what_dvc_reads():
    assert read_document(ROOT / "params.yaml") == parse_yaml((ROOT / "params.yaml").read_text(), "params.yaml")


LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
FAULTS = [
    ("a: 1\n\tb: 2\n", "line 2, column 1", "tab"),
    ("a:\n\tb: 2\n", "line 2, column 1", "not tabs"),
    ("a: *dmeo\n", "line 1, column 4", "correct the name"),
    ("a: 1\nb: 2\na: 3\n", "line 3, column 1", 'duplicate key "a"; remove one'),
    ('a: 1\nb: "c\nd: 2\n', "line 2, column 4", "close the quotes"),
    ("a: [1, 2\nb: 3\n", "line 2, column", "close the bracket"),
    ("a: {b: [}\n", "line 1, column", "close the bracket"),
    ("a: b: c\n", "line 1, column 5", "in quotes"),
    ("a: 1\n--- \nb: 2\n", "line 2, column 1", "remove the line ---"),
    (b"a: 1\nb: caf\xe9\n", "line 2", "save the file as UTF-8"),
    ("a: 1\n".encode("utf-16"), "line 1", "save the file as UTF-8"),
    ("\u00e9: 1\nb: \x07\n", "line 2", "'\\x07' is not allowed"),
    ("", "", "the file is empty"),
    ("# only a comment\n", "", "the file is empty"),
    ("- a\n- b\n", "line 1", "found a list"),
    ("abc\n", "line 1", "expected groups of keys"),
    ("a: 2020-01-31\n", "line 1, column 4", "put text in quotes"),
    ("a: !!python/name:os.system\n", "line 1, column 4", "put text in quotes"),
    ("a: !other [b]\n", "line 1, column 4", "the tag !other is not known"),
    ("a: -_\n", "line 1, column 4", "'-_' is no int"),
    ("a: !!bool maybe\n", "line 1, column 4", "'maybe' is no bool"),
    (f"a: {'9' * 5000}\n", "line 1, column 4", "5000 digits"),
    ("a: [0.1, -0.0]\n", "line 1, column 10", "write 0.0"),
    ("? [a, b]\n: c\n", "line 1", "a key should be one word"),
    ("a: &a {b: *a}\n", "line 1, column 4", "holds itself"),
    ("a: &a\n  <<: *a\n", "line 1, column 4", "holds itself"),
    ("a: {<<: 3}\n", "line 1", "merging"),
    (LAUGHS, "line 7", "should hold at most 1,000,000"),
    ("a: " + "[" * 100_000, "line 1", "more than 20 groups"),
]


@pytest.mark.parametrize(("content", "place", "problem"), FAULTS, ids=[problem for _, _, problem in FAULTS])
def test_what_cannot_be_read_is_named_in_one_line(tmp_path, content, place, problem):
    path, started = written(tmp_path, content), time.monotonic()
    with pytest.raises(UserError) as caught:
        read_document(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: {place}") and problem in message
    assert "\n" not in message and len(message) < len(str(path)) + 400
    assert time.monotonic() - started < 1


def test_a_document_knows_the_lines_of_its_keys(tmp_path):
    text = "a: &a\n  b: 1\n  c: [2,\n    3]\nd:\n  <<: *a\n  b: 4\ne: *a\n"
    document = read_document(written(tmp_path, text))
    assert document == {"a": {"b": 1, "c": [2, 3]}, "d": {"b": 4, "c": [2, 3]}, "e": {"b": 1, "c": [2, 3]}}
    places = {("a",): 1, ("a", "c", 1): 4, ("d", "b"): 7, ("d", "c"): 3, ("e", "b"): 2, ("a", "absent"): 1, ("z",): 1}
    assert {keys: document.line(keys) for keys in places} == places
