"""The rooms of src/dctdiff: each imports only from the floors below it."""

import pytest

from dctdiff.pipeline.errors import UserError
from engines import ROOT, load

# From below: a room may import from the lines above its own. A new room finds its line here.
FLOORS = [
    {"pipeline", "spaces", "diffusion"},
    {"registry", "networks", "data"},
    {"params", "metrics"},
    {"models", "analysis"},
    {"report", "api"},
    {"stages"},
    {"bench", "commands"},
]


def test_a_room_imports_only_from_below():
    docs = load("docs")
    below: set[str] = set()
    imports = docs.room_imports()
    for floor in FLOORS:
        for room in floor:
            assert imports[room].keys() <= below, f"{room} imports {imports[room].keys() - below}"
        below |= floor
    assert below == imports.keys()


def test_every_module_lies_in_a_room():
    """But for what ``import dctdiff`` and ``python -m dctdiff`` begin with."""
    assert {path.name for path in (ROOT / "src/dctdiff").glob("*.py")} == {"__init__.py", "__main__.py"}


def test_rooms_that_import_each_other_are_named():
    circle = {"a": {"b": {"x"}}, "b": {"c": {"y"}}, "c": {"a": {"z"}}, "d": {}}
    with pytest.raises(UserError, match="the rooms a, b, c import each other in a circle"):
        load("docs").floors(circle)


def test_the_table_of_rooms_and_the_list_of_crossings_are_current():
    docs = load("docs")
    rooms = (ROOT / "docs/rooms.md").read_text()
    assert docs.replaced(rooms, "rooms", docs.rooms_table()) == rooms, "run make docs"
    assert docs.replaced(rooms, "crossings", docs.crossings()) == rooms, "run make docs"
