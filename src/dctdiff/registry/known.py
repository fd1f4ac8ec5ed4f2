"""Whether what the registries name is there, and whether they have what a file names."""

from dctdiff.pipeline.code import is_defined
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.named import At
from dctdiff.registry.extractors import EXTRACTORS
from dctdiff.registry.networks import NETWORKS, OPTIMISERS
from dctdiff.registry.samplers import FRAMEWORKS, SAMPLERS
from dctdiff.registry.sources import SOURCES
from dctdiff.registry.spaces import SPACES

REGISTRIES = (EXTRACTORS, FRAMEWORKS, NETWORKS, OPTIMISERS, SAMPLERS, SOURCES, SPACES)
OF_A_MODEL = {"space": SPACES, "network_kind": NETWORKS, "framework": FRAMEWORKS}


def names_of(entry) -> list[str]:
    """Full names of the code of an entry."""
    values = [entry] if isinstance(entry, At) else vars(entry).values()
    return [value.name for value in values if isinstance(value, At)]


def check_registries() -> None:
    """A UserError if an entry names code that is not there; nothing is imported for it."""
    for registry in REGISTRIES:
        for key, entry in registry.items():
            for name in names_of(entry):
                if not is_defined(name):
                    raise UserError(f"{key!r} in src/dctdiff/registry names {name}, which is not there; correct one")


def check_known(config: dict) -> None:
    """A ValueError if the fields of a ``ModelConfig`` name what is not there: a model of a fork, or a later version."""
    for key, registry in OF_A_MODEL.items():
        if config.get(key) not in (None, *registry):
            raise ValueError(f"its {key} is {config[key]}, but this version has {', '.join(registry)}")
