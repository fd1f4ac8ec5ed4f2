"""YAML documents, read strictly, and as DVC reads them.

DVC reads params.yaml with ruamel.yaml (YAML 1.2): 010 is ten, 1e-3 a number, yes a word. Snakemake would read it with
PyYAML (YAML 1.1): eight, a word, true. So that both engines are given the same values, Snakemake is given what this
module reads.
"""

from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, ScalarEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode
from ruamel.yaml.reader import ReaderError

from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import existing_file
from dctdiff.pipeline.slice import SHORT

# What a file may hold once every alias is replaced by what it stands for. Ours has 8,000 entries on 7 levels.
MAX_LEVELS = 20
MAX_ENTRIES = 1_000_000
MAX_DIGITS = 100
KINDS = {f"tag:yaml.org,2002:{kind}" for kind in ("map", "seq", "str", "int", "float", "bool", "null", "merge")}
# What a person can do about what the parser says.
REMEDIES = {
    "found duplicate key": "remove one of the two",
    "found undefined alias": "no &name of this *name stands above; correct the name",
    "cannot start any token": "indent with spaces, not tabs, and put text with special characters in quotes",
    "a tab character": "indent with spaces",
    "scanning a quoted scalar": "close the quotes",
    "mapping values are not allowed": "put text with a colon in quotes, or correct the indentation",
    "did not find expected": "close the bracket or quotes, or correct the indentation",
    "could not find expected ':'": "write key: value, with a space after the colon",
    "another document": "remove the line ---",
}


class Document(dict):
    """The groups of keys of a file, which knows where they stand."""

    def __init__(self, values: dict, root: MappingNode):
        super().__init__(values)
        self._root = root

    def line(self, keys: tuple[str | int, ...]) -> int:
        """The line, from 1, of a key or list item; of the innermost group around it that is there, if it is not."""
        node, line = self._root, self._root.start_mark.line
        for key in map(str, keys):
            parts = _parts(node)
            if key not in parts:
                break
            line, node = parts[key]
        return line + 1


def _parts(node: Node) -> dict[str, tuple[int, Node]]:
    """Key, or index in a list -> its line, from 0, and its value. Keys that were merged in come first: others win."""
    if isinstance(node, MappingNode):
        return {key.value: (key.start_mark.line, value) for key, value in node.value if isinstance(key, ScalarNode)}
    items = [] if isinstance(node, ScalarNode) else node.value
    return {str(index): (item.start_mark.line, item) for index, item in enumerate(items)}


def read_document(path: str | Path) -> Document:
    """Groups of keys, not yet validated; a UserError names line and column of what cannot be read."""
    text = _decoded(path, existing_file(path).read_bytes())
    try:
        return _parsed(text)
    except YAMLError as error:
        raise UserError(f"{path}: {_explained(error, text)}") from None


def _decoded(path: str | Path, content: bytes) -> str:
    try:
        return str(content, "utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = f"{content[error.start]:#04x}"
        raise UserError(f"{path}: line {line} holds the byte {byte}, not UTF-8; save the file as UTF-8") from None


def _parsed(text: str) -> Document:
    _check_levels(text)
    yaml = YAML(typ="safe")
    root = yaml.compose(text)
    if not isinstance(root, MappingNode):
        raise _refusal("expected groups of keys (key: value), but found a list or a single value", root)
    _expand(root, yaml.constructor, {})
    return Document(yaml.constructor.construct_document(root), root)


def _check_levels(text: str) -> None:
    """Before anything is built of the text: the parser in C would crash on thousands of levels."""
    levels, is_empty = 0, True
    for event in YAML(typ="safe").parse(text):
        is_empty = is_empty and not isinstance(event, (ScalarEvent, AliasEvent, CollectionStartEvent))
        levels += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if levels > MAX_LEVELS:
            raise _refusal(f"more than {MAX_LEVELS} groups or lists within each other", event)
    if is_empty:
        raise MarkedYAMLError(problem="the file is empty; take it back with git checkout")


def _expand(node: Node, constructor, known: dict[Node, tuple[int, int] | None]) -> tuple[int, int]:
    """Entries and levels of a node with its aliases followed. ``known`` holds None for those we are within."""
    if isinstance(node, ScalarNode):
        _check_value(node, constructor)
        return 1, 1
    if node not in known:
        known[node] = None
        if str(node.tag) not in KINDS:
            raise _refusal(f"the tag {node.tag} is not known here; remove it", node)
        if isinstance(node, MappingNode):
            parts = [part for pair in node.value for part in pair]
            if any(not isinstance(key, ScalarNode) for key, _ in node.value):
                raise _refusal("a key should be one word, but is a group or a list", node)
        else:
            parts = node.value
        sizes = [_expand(part, constructor, known) for part in parts]
        known[node] = 1 + sum(entries for entries, _ in sizes), 1 + max((levels for _, levels in sizes), default=0)
    if known[node] is None:
        raise _refusal("this group or list holds itself, through an alias; remove the alias", node)
    entries, levels = known[node]
    if entries > MAX_ENTRIES or levels > MAX_LEVELS:
        found = f"{entries:.2g} entries on {levels} levels" if entries > MAX_ENTRIES else f"{levels} levels"
        allowed = f"at most {MAX_ENTRIES:,} on {MAX_LEVELS}"
        raise _refusal(f"with its aliases this holds {found}, but should hold {allowed}; use fewer aliases", node)
    return entries, levels


def _check_value(node: ScalarNode, constructor) -> None:
    shown, kind = SHORT.repr(node.value), str(node.tag)
    if kind not in KINDS:
        raise _refusal(f"{shown} is neither a number, true, false, null nor text; put text in quotes", node)
    if kind in ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"):
        return
    if len(node.value) > MAX_DIGITS:
        raise _refusal(f"{shown} has {len(node.value)} digits, but a number may have {MAX_DIGITS}", node)
    try:
        value = constructor.construct_object(node)
    except (ValueError, LookupError):
        raise _refusal(f"{shown} is no {kind.rpartition(':')[2]}; put text in quotes", node) from None
    if value == 0 and node.value.startswith("-"):
        raise _refusal(f"{shown} is a negative zero; write {node.value[1:]}", node)


def _refusal(problem: str, place) -> MarkedYAMLError:
    """``place``: node or event."""
    return MarkedYAMLError(problem=problem, problem_mark=place.start_mark)


def _explained(error: YAMLError, text: str) -> str:
    """One line: where, the words that stand there, what is wrong with them, and what to do."""
    if isinstance(error, ReaderError):
        line = text.encode().count(b"\n", 0, error.position) + 1
        return f"line {line}: the character {chr(error.character)!r} is not allowed; remove it"
    if error.problem_mark is None:
        return error.problem
    # Of a repeated key the message goes on with both values, which may be long.
    problem = error.problem.partition(" with value ")[0]
    lines, mark = text.splitlines(), error.problem_mark
    if error.context_mark is not None:
        problem = f"{error.context} from line {error.context_mark.line + 1}: {problem}"
    if mark.line >= len(lines):  # at the end of the file; what was not closed there says more
        mark = error.context_mark or mark
    source = SHORT.repr(lines[min(mark.line, len(lines) - 1)].strip(" "))
    remedy = next((f"; {remedy}" for words, remedy in REMEDIES.items() if words in problem), "")
    return f"line {mark.line + 1}, column {mark.column + 1}, at {source}: {problem}{remedy}"
