"""Edits of code that a person judged harmless: results of the code before count as those of the code now.

The judgements stand in a file of the repository, so they travel with it. Both engines are given the
digest of the code that made the results as long as nothing else is edited (``make keep``).
"""

from pathlib import Path

import yaml

from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import write_text

FILE = Path("workflow/kept.yaml")  # beside params.yaml
HEADER = """\
# Edits of code that were judged harmless. Written by `make keep`; remove an entry to let the results
# of its stage be made anew. Digest of the code now -> digest of the code that made the results ("as").
"""


def read_kept() -> dict[str, dict]:
    """Digest of edited code -> {"as": digest of the code before, and who says so}."""
    if not FILE.exists():
        return {}
    try:
        kept = yaml.safe_load(FILE.read_text(encoding="utf-8")) or {}
        if not all(isinstance(entry["as"], str) for entry in kept.values()):
            raise TypeError("as is not a digest")
    except (yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{FILE} is broken ({reason}); restore it from git, or remove the wrong entry") from None
    return kept


def write_kept(kept: dict[str, dict]) -> None:
    text = yaml.safe_dump(kept, sort_keys=False) if kept else ""
    write_text(FILE, HEADER + text)


def counts_as(digest: str, kept: dict[str, dict]) -> str:
    """The digest that stands for ``digest`` in both engines."""
    seen = set()
    while digest in kept and digest not in seen:
        seen.add(digest)
        digest = kept[digest]["as"]
    return digest
