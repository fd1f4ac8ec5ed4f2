"""Import closures: which files of this package a module depends on, and what they say.

Both engines miss edits in imported modules, so each stage declares its whole closure as an
input. The fingerprint ignores comments, docstrings and layout.
"""

import ast
import hashlib
from pathlib import Path

PACKAGE = Path(__file__).parent


def import_closure(module: str) -> list[Path]:
    """Files of this package that importing ``module`` (e.g. "dctdiff.loss") executes, sorted.

    Imports inside functions count; other packages do not.
    """
    found: set[Path] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = _source(name)
        if path is None or path in found:
            continue
        found.add(path)
        waiting += _imported(ast.parse(path.read_text(encoding="utf-8")))
        waiting += [name.rpartition(".")[0]]  # importing a module executes its package
    return sorted(found)


def code_fingerprint(module: str) -> str:
    """SHA-256 of the meaning of the closure of ``module``."""
    digest = hashlib.sha256()
    for path in import_closure(module):
        tree = _without_docstrings(ast.parse(path.read_text(encoding="utf-8")))
        name = path.relative_to(PACKAGE).as_posix()
        digest.update(f"{name}\n{ast.unparse(tree)}\n".encode())
    return digest.hexdigest()


def _source(module: str) -> Path | None:
    head, *rest = module.split(".")
    if head != PACKAGE.name:
        return None
    path = PACKAGE.joinpath(*rest)
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()), None)


def _imported(tree: ast.Module) -> list[str]:
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):  # absolute only: the linter forbids relative ones
            names += [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if documented and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return tree
