"""The code behind a number: the definitions that its computation reaches, without their words.

A number depends on functions, methods, classes and constants, not on files. From the function that
computes it this module follows every name that it uses, through the whole package, and keeps one
digest per definition. What does not count, said here and nowhere else:

- the room ``pipeline``, which is plumbing (``PLUMBING``);
- comments, docstrings, layout, annotations, and the messages of errors and progress (``SPOKEN``);
- checks of params (``CHECKS``), and of a key of params all but its default: a key that is off by
  default (none, false, 0) is not there for those who do not use it;
- the other entries of a registry, a dict of alternatives, where the entry is ``chosen``, and of that what
  is for people (``WORDS``); if one of its keywords is chosen ("ddim.discrete") all the others;
- which alternatives there are: a ``Literal``;
- code that an entry names (``At``), if nothing imports it (``IMPORTED``);
- methods that nothing reached calls, by their names. If a class of another package is a base, it
  may call any of them, so all count.

Where the analysis cannot know better it counts too much, never too little. What escapes it are names
put together at run time (``getattr`` of a variable) and alternatives that register themselves at import:
a registry is one dict, in one place.
"""

import ast
import copy
import functools
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dctdiff.pipeline.errors import UserError

PACKAGE = Path(__file__).resolve().parent.parent
PLUMBING = ("pipeline",)
SPOKEN = {"UserError", "parse_command", "progress"}  # what these are given in words is for people
CHECKS = {"field_validator", "model_validator"}
REFERENCE, IMPORTED = "At", "imported"  # of ``dctdiff.pipeline.named``
# Keywords of the entries of registries that no number depends on.
WORDS = {"label", "words", "address_in_words", "example", "frequencies", "gmacs"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, eq=False)  # one object per text: see _parsed
class Module:
    name: str  # without the name of the package: "diffusion.loss"
    definitions: dict[str, ast.stmt]  # functions, classes and constants at the top level
    imports: dict[str, str]  # local name -> what it stands for: "torch.nn.functional", "dctdiff.spaces.dct.DCTCodec"
    statements: list[ast.stmt]  # the others, which run at import


@dataclass(frozen=True)
class Definition:
    """A function, class or constant; or with ``method`` one of a class; or what a module does at import."""

    module: Module
    name: str
    method: str = ""

    def __str__(self) -> str:
        return ".".join(filter(None, (self.module.name, self.name or "__init__", self.method)))


def meaning(
    roots: Iterable[str],
    chosen: Mapping[str, str] = {},
    without: Iterable[str] = (),
) -> dict[str, str]:
    """Name -> digest of each definition that ``roots`` reach, themselves included.

    Names lack the package: "models.step.Learner.step". ``chosen``: name of a registry -> the entry in
    use, or "entry.keyword"; ``without``: rooms that do not count beside ``PLUMBING``.
    """
    return _Search(dict(chosen), {*PLUMBING, *without}).from_(roots)


def digest_of(meanings: Mapping[str, str]) -> str:
    """SHA-256 of definitions with their digests."""
    lines = [f"{name} {digest}\n" for name, digest in sorted(meanings.items())]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def code_behind(function: str, chosen: Mapping[str, str] = {}) -> str:
    """Digest of all code that a function ("dctdiff.stages.sample.main") reaches."""
    return _code_behind(function, frozenset(chosen.items()))


@functools.cache  # hundreds of jobs ask for a few answers
def _code_behind(function: str, chosen: frozenset[tuple[str, str]]) -> str:
    return digest_of(meaning([function], dict(chosen)))


def check_beside(folder: Path) -> None:
    """A UserError if ``folder`` holds a project whose code is not the one that runs."""
    own = folder / "src" / PACKAGE.name
    if (folder / "params.yaml").exists() and own.is_dir() and not own.samefile(PACKAGE):
        raise UserError(
            f"the code of {PACKAGE.parent} would run, but {folder} has its own; run make env in {folder} and put its "
            ".venv/bin first in PATH, or set PYTHONPATH=src"
        )


def is_defined(full_name: str) -> bool:
    """Whether the package has a function, class or constant of this name ("dctdiff.stages.sample.main")."""
    return any(_Search({}, set())._named(full_name))


def differences(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """Names of the definitions that were changed, added or removed."""
    return sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))


class _Search:
    def __init__(self, chosen: dict[str, str], without: set[str]):
        self.chosen = chosen
        self.without = without
        self.found: dict[Definition, str] = {}
        self.waiting: list[Definition] = []
        self.attributes: set[str] = set()  # every ".name" in what is found
        self.uncalled: dict[str, list[Definition]] = {}  # methods by name
        self.entered: set[Module] = set()

    def from_(self, roots: Iterable[str]) -> dict[str, str]:
        for root in roots:
            found = list(self._named(root))
            if root.removeprefix(f"{PACKAGE.name}.") not in map(str, found):
                raise ValueError(f"{root} is not defined")
            self.waiting += found
        while self.waiting:
            definition = self.waiting.pop()
            if definition not in self.found:
                self.found[definition] = ""
                self._enter(definition)
        return {str(definition): digest for definition, digest in self.found.items()}

    def _enter(self, definition: Definition) -> None:
        module = definition.module
        said = _said(definition)
        if not definition.method and definition.name in self.chosen:
            said = _said_by_entry(definition, self.chosen[definition.name])
        self.found[definition] = said.digest
        for name in said.names:
            self.waiting += self._named(name)
        self._call_later(IMPORTED, [named for name in said.references for named in self._named(name)])
        for attribute in said.attributes - self.attributes:
            self.attributes.add(attribute)
            self.waiting += self.uncalled.pop(attribute, [])
        if module not in self.entered:
            self.entered.add(module)
            self.waiting += [
                Definition(m, "")
                for m in _imported_modules(module)
                if m.statements and m.name.partition(".")[0] not in self.without
            ]
        if not definition.method and isinstance(module.definitions.get(definition.name), ast.ClassDef):
            self._enter_class(definition)

    def _enter_class(self, definition: Definition) -> None:
        all_count = self._has_foreign_base(definition)
        for function in _methods(definition.module.definitions[definition.name]):
            method = Definition(definition.module, definition.name, function.name)
            if all_count or function.name.startswith("__"):
                self.waiting.append(method)
            else:
                self._call_later(function.name, [method])

    def _call_later(self, attribute: str, definitions: list[Definition]) -> None:
        """Look at what ``attribute`` calls, now or once something uses it."""
        waiting = self.waiting if attribute in self.attributes else self.uncalled.setdefault(attribute, [])
        waiting += definitions

    def _has_foreign_base(self, definition: Definition) -> bool:
        module = definition.module
        for base in module.definitions[definition.name].bases:
            bases = [d for name in _names(base) for d in self._named(_full_name(name, module, module.imports))]
            classes = [d for d in bases if isinstance(d.module.definitions.get(d.name), ast.ClassDef)]
            if not classes or any(self._has_foreign_base(d) for d in classes):
                return True
        return False

    def _named(self, full_name: str) -> Iterator[Definition]:
        """The definition of this package that a full name stands for; all of a module if that itself is named."""
        package, _, path = full_name.partition(".")
        path = path.split(".") if package == PACKAGE.name else []
        for length in range(len(path), 0, -1):
            module = _module(".".join(path[:length]))
            if module is None:
                continue
            rest = path[length:]
            if path[0] in self.without:
                return
            if rest and rest[0] in module.imports:
                yield from self._named(".".join([module.imports[rest[0]], *rest[1:]]))
            elif rest and rest[0] in module.definitions:
                methods = [f.name for f in _methods(module.definitions[rest[0]])]
                yield Definition(module, rest[0])
                if rest[1:] and rest[1] in methods:
                    yield Definition(module, rest[0], rest[1])
            elif not rest:
                yield from (Definition(module, name) for name in module.definitions)
            return


def _module(name: str) -> Module | None:
    path = PACKAGE.joinpath(*name.split(".")) if name else PACKAGE
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.is_file():
            return _parsed(name, _text(file))
    return None


@functools.cache
def _text(file: Path) -> str:
    """As it was when this process first looked: an edit during a long job is not the code that ran."""
    return file.read_text(encoding="utf-8")


@functools.cache
def _parsed(name: str, text: str) -> Module:
    definitions: dict[str, ast.stmt] = {}
    statements: list[ast.stmt] = []
    body = ast.parse(text).body
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom) or _is_text(node) or _is_main(node):
            continue
        names = [node.name] if isinstance(node, Function | ast.ClassDef) else _constants(node)
        statements += [definitions[name] for name in names if name in definitions]  # a first value that is built upon
        if not names:
            statements.append(node)
            names = _bound_within(node)  # an if or try around alternatives
        definitions |= dict.fromkeys(names, node)
    outside = [node for node in body if not isinstance(node, Function | ast.ClassDef)]
    return Module(name, definitions, _imports(outside), statements)


def _constants(node: ast.stmt) -> list[str]:
    """The names that an assignment defines; none if it sets an attribute or an item of something."""
    targets = getattr(node, "targets", [node.target] if isinstance(node, ast.AnnAssign) else [])
    leaves = [leaf for target in targets for leaf in getattr(target, "elts", [target])]
    return [leaf.id for leaf in leaves] if all(isinstance(leaf, ast.Name) for leaf in leaves) else []


def _bound_within(node: ast.stmt) -> list[str]:
    leaves = [leaf for leaf in ast.walk(node) if isinstance(leaf, ast.stmt) and leaf is not node]
    named = [leaf.name for leaf in leaves if isinstance(leaf, Function | ast.ClassDef)]
    return [*named, *(name for leaf in leaves for name in _constants(leaf))]


def _imported_modules(module: Module) -> list[Module]:
    """The modules of this package that importing ``module`` executes, itself and its packages included."""
    found: dict[str, Module] = {}
    waiting = [module.name]
    while waiting:
        name = waiting.pop()
        imported = _module(name)
        if imported is None or name in found:
            continue
        found[name] = imported
        own = [target.partition(".")[2] for target in imported.imports.values() if _is_own(target)]
        waiting += [part for path in [name, *own] for part in (path, path.rpartition(".")[0])]
    return list(found.values())


@dataclass(frozen=True)
class Said:
    """What one definition says: its digest, the full names that it uses or refers to, and every ``.attribute``."""

    digest: str
    names: frozenset[str]
    references: frozenset[str]
    attributes: frozenset[str]


@functools.cache
def _said(definition: Definition) -> Said:
    return _said_by(definition.module, _nodes(definition))


def _said_by_entry(registry: Definition, chosen: str) -> Said:
    """Of a dict of alternatives only the entry ``chosen``, or a keyword of it: "entry.keyword"."""
    key, _, part = chosen.partition(".")
    value = registry.module.definitions[registry.name].value
    if not isinstance(value, ast.Dict) or None in value.keys:  # it is put together somehow: all of it counts
        return _said(registry)
    for name, entry in zip(value.keys, value.values, strict=True):
        if ast.literal_eval(name) == key:
            keywords = [k for k in getattr(entry, "keywords", []) if k.arg not in WORDS]
            if isinstance(entry, ast.Call):
                entry = ast.Call(entry.func, entry.args, keywords)
            found = [k.value for k in keywords if k.arg == part] if part else [entry]
            if found:
                return _said_by(registry.module, found)
    raise ValueError(f"{registry} has no {chosen}")


def _said_by(module: Module, nodes: list[ast.AST]) -> Said:
    imports = module.imports | _imports(nodes)
    stripped = [Stripped().visit(copy.deepcopy(node)) for node in nodes]
    used = {name for node in stripped for name in _names(node)}
    lines = [_written(node) for node in stripped]
    lines += [f"{name} is {_full_name(name, module, imports)}" for name in sorted(used) if _is_foreign(name, imports)]
    annotated = {name for node in nodes for annotation in _annotations(node) for name in _names(annotation)}
    return Said(
        hashlib.sha256("\n".join(lines).encode()).hexdigest(),
        frozenset(_full_name(name, module, imports) for name in used | annotated),
        frozenset(name for node in stripped for name in _references(node)),
        frozenset(attribute for name in used for attribute in name.split(".")[1:]),
    )


def _written(node) -> str:
    """A syntax tree as text, alike under all versions of Python: what is empty or not there is left out."""
    if isinstance(node, ast.Constant):
        return f"Constant({node.value!r})"
    if isinstance(node, ast.JoinedStr):  # of which Python 3.12 has some with empty parts
        node = ast.JoinedStr([part for part in node.values if getattr(part, "value", None) != ""])
    if isinstance(node, ast.AST):
        fields = [(name, _written(value)) for name, value in ast.iter_fields(node) if name not in ("ctx", "kind")]
        return f"{type(node).__name__}({', '.join(f'{name}={text}' for name, text in fields if text)})"
    if isinstance(node, list):
        return f"[{', '.join(map(_written, node))}]" if node else ""
    return "" if node is None else repr(node)


def _nodes(definition: Definition) -> list[ast.AST]:
    module, name, method = definition.module, definition.name, definition.method
    if not name:
        return module.statements
    node = module.definitions[name]
    if method:
        return [function for function in _methods(node) if function.name == method]
    if isinstance(node, ast.ClassDef):  # its methods are definitions of their own
        head = copy.copy(node)
        head.body = [statement for statement in node.body if not isinstance(statement, Function)] or [ast.Pass()]
        return [head]
    return [node]


class Stripped(ast.NodeTransformer):
    """Takes out what does not count."""

    def visit_FunctionDef(self, node: Function) -> ast.AST:
        node.returns = None
        return self._without_docstring(node)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.body = [field for statement in node.body for field in self._field(statement)] or [ast.Pass()]
        return self._without_docstring(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        if node.value is None:
            return None
        return self.generic_visit(ast.Assign([node.target], node.value, lineno=node.lineno))

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        kind = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        return ast.Raise(kind, None)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id in SPOKEN:
            node.args = [Silent().visit(argument) for argument in node.args]
            node.keywords = [Silent().visit(keyword) for keyword in node.keywords]
        return node

    def _without_docstring(self, node):
        self.generic_visit(node)
        node.body = [s for s in node.body if not _is_text(s)] or [ast.Pass()]
        return node

    def _field(self, node: ast.stmt) -> list[ast.stmt]:
        """A field of a class by its name and default; one that is off by default is left out."""
        if not isinstance(node, ast.AnnAssign):
            return [node]
        default = node.value
        if isinstance(default, ast.Call) and ast.unparse(default.func) == "Field":
            factories = [keyword.value for keyword in default.keywords if keyword.arg in ("default", "default_factory")]
            default = next(iter([*default.args, *factories]), None)
        if default is None:
            return [ast.Expr(node.target)]
        if _is_off(default):
            return []
        return [ast.Assign([node.target], default, lineno=node.lineno)]


class Silent(ast.NodeTransformer):
    """Takes out the words."""

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.Constant("") if isinstance(node.value, str) else node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return ast.Constant("")


class WithoutLiterals(ast.NodeTransformer):
    """Takes out which values there are to choose from."""

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        return node.value if ast.unparse(node.value) == "Literal" else self.generic_visit(node)


def _is_off(default: ast.expr) -> bool:
    try:
        return not ast.literal_eval(default)
    except ValueError:
        return False


def _references(node: ast.AST) -> Iterator[str]:
    """Full names of code that stand as text, to be imported when it is used."""
    for leaf in ast.walk(node):
        if isinstance(leaf, ast.Call) and ast.unparse(leaf.func) == REFERENCE:
            yield ast.literal_eval(leaf.args[0])


def _annotations(node: ast.AST) -> Iterator[ast.expr]:
    """Types of what comes from outside; what is made inside is reached where it is made."""
    for leaf in ast.walk(node):
        if isinstance(leaf, ast.arg | ast.AnnAssign) and leaf.annotation:
            yield WithoutLiterals().visit(copy.deepcopy(leaf.annotation))


def _imports(nodes: Iterable[ast.AST]) -> dict[str, str]:
    found = {}
    for node in (leaf for tree in nodes for leaf in ast.walk(tree)):
        if isinstance(node, ast.Import):
            found |= {alias.name: alias.name for alias in node.names}  # all of it, to know what is executed
            tops = [alias.name.partition(".")[0] for alias in node.names]
            found |= {a.asname or top: a.name if a.asname else top for a, top in zip(node.names, tops, strict=True)}
        elif isinstance(node, ast.ImportFrom):  # absolute only: the linter forbids relative ones
            found |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    return found


def _full_name(name: str, module: Module, imports: Mapping[str, str]) -> str:
    """What a name stands for, "torch.nn.Linear" for "nn.Linear"; a name of the module itself gets the module's."""
    first, dot, rest = name.partition(".")
    if first in imports:
        return imports[first] + dot + rest
    return f"{PACKAGE.name}.{module.name}.{name}".replace("..", ".") if first in module.definitions else name


def _is_foreign(name: str, imports: Mapping[str, str]) -> bool:
    first = name.partition(".")[0]
    return first in imports and not _is_own(imports[first])


def _is_own(full_name: str) -> bool:
    return full_name.partition(".")[0] == PACKAGE.name


def _names(node: ast.AST) -> Iterator[str]:
    """Every name in use, with its attributes: "torch.nn.Linear"; attributes of other values as "?.attribute"."""
    if isinstance(node, ast.Attribute):
        dotted = _dotted(node)
        yield dotted
        if dotted.startswith("?"):
            yield from _names(_root(node))
    elif isinstance(node, ast.Name):
        yield node.id
    for child in [] if isinstance(node, ast.Attribute) else ast.iter_child_nodes(node):
        yield from _names(child)


def _root(node: ast.expr) -> ast.expr:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node


def _dotted(node: ast.Attribute) -> str:
    parts = []
    value: ast.expr = node
    while isinstance(value, ast.Attribute):
        parts.append(value.attr)
        value = value.value
    return ".".join([value.id if isinstance(value, ast.Name) else "?", *reversed(parts)])


def _methods(node: ast.stmt) -> list[Function]:
    if not isinstance(node, ast.ClassDef):
        return []
    return [f for f in node.body if isinstance(f, Function) and not any(map(_is_check, f.decorator_list))]


def _is_check(decorator: ast.expr) -> bool:
    return not CHECKS.isdisjoint(_names(decorator))


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_main(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"
