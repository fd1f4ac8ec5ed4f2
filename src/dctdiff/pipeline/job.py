"""Which job this process is: the record that its command names says it."""

import sys
from pathlib import Path

from dctdiff.pipeline.record import FOLDER


def job() -> Path | None:
    """``sample/micro-dct-dpm``, or ``plan`` of a stage with one job; None if the process is no job of a pipeline."""
    words = sys.argv[:-1]
    if "--out_record" not in words:
        return None
    record = Path(sys.argv[words.index("--out_record") + 1])
    return record.relative_to(FOLDER).with_suffix("") if record.is_relative_to(FOLDER) else None
