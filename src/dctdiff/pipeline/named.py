"""Code by its name, imported when it is used: to list alternatives imports none of them."""

import importlib
from dataclasses import dataclass

from dctdiff.pipeline.errors import UserError


@dataclass(frozen=True)
class At:
    """A function, class or constant by its full name: "dctdiff.diffusion.samplers.ddim".

    ``dctdiff.pipeline.code`` follows the name where something calls ``imported``.
    """

    name: str

    def imported(self):
        """A ``UserError`` if there is no such name."""
        module, _, name = self.name.rpartition(".")
        try:
            return getattr(importlib.import_module(module), name)
        except AttributeError:
            raise UserError(f"{module} has no {name}, which src/dctdiff/registry names; correct the name") from None
