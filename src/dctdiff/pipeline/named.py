"""Code by its name, imported when it is used: to list alternatives imports none of them."""

import importlib
from dataclasses import dataclass


@dataclass(frozen=True)
class At:
    """A function, class or constant by its full name: "dctdiff.diffusion.samplers.ddim".

    ``dctdiff.pipeline.code`` follows the name where something calls ``imported``.
    """

    name: str

    def imported(self):
        module, _, name = self.name.rpartition(".")
        return getattr(importlib.import_module(module), name)
