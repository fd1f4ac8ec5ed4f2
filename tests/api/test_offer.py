"""``import dctdiff``: what it offers, and that it costs nothing before it is used."""

import pytest

import dctdiff
from engines import run

IMPORTED = """
import sys
import dctdiff
assert {"load_model", "decode"} <= set(dir(dctdiff))
assert not {"torch", "numpy", "pydantic"} & sys.modules.keys(), sys.modules.keys()
from dctdiff import dct_codec
assert "torch" in sys.modules and "dctdiff.metrics" not in sys.modules
"""


def test_nothing_is_imported_before_it_is_used(tmp_path):
    run(tmp_path, "python", "-c", IMPORTED)


@pytest.mark.parametrize("name", dctdiff.OFFERED)
def test_what_is_offered_is_there_and_says_what_it_does(name):
    offered = getattr(dctdiff, name)
    assert offered.__name__ == name and offered.__module__ == f"dctdiff.api.{dctdiff.OFFERED[name]}"
    assert "``UserError``" in offered.__doc__  # when it is raised


def test_another_name_is_an_error():
    with pytest.raises(AttributeError, match="module 'dctdiff' has no attribute 'smaple'"):
        dctdiff.smaple  # noqa: B018
