"""Write the import closure of each stage into dvc.yaml, under its line "# code".

Snakemake computes the closures when it reads the Snakefile; DVC needs them as text. Run by
``make closures``; a test fails while dvc.yaml is behind.
"""

import re
from pathlib import Path

from dctdiff.closure import import_closure
from dctdiff.files import write_text

ROOT = Path(__file__).resolve().parent.parent


def renewed(text: str) -> str:
    """``text`` of a dvc.yaml with the lists under "# code" computed again."""
    lines, stage, in_list = [], "", False
    for line in text.splitlines():
        named = re.search(r"python -m dctdiff\.stages\.(\w+)", line)
        stage = named.group(1) if named else stage
        if in_list and re.match(r"\s+- src/.*\.py$", line):
            continue
        in_list = line.strip() == "# code"
        lines.append(line)
        if in_list:
            indent = line[: line.index("#")]
            closure = import_closure(f"dctdiff.stages.{stage}")
            lines += [f"{indent}- {path.relative_to(ROOT).as_posix()}" for path in closure]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    path = ROOT / "dvc.yaml"
    write_text(path, renewed(path.read_text(encoding="utf-8")))
