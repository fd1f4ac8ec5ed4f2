"""The header of a weights file: what a model is, read in a moment and without torch.

Whether the numbers are whole only ``dctdiff.models.weights`` can say, which reads them.
"""

import json
import math
from pathlib import Path

from safetensors import SafetensorError, safe_open

from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import existing_file
from dctdiff.registry.known import check_known


def read_header(path: str | Path) -> tuple[dict, int]:
    """The fields of the ``ModelConfig``, and the number of parameters."""
    try:
        with safe_open(existing_file(path), framework="numpy") as file:
            found = json.loads(file.metadata()["dctdiff"])
            config = json.loads(found["config"]) if "config" in found else found  # of an earlier version
            check_known(config)
            return config, sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} is not a model of this project ({error}); name a weights file (.safetensors)"
        ) from None
