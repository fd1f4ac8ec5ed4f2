"""Whether a file of a model is of alternatives that this version has."""

from dctdiff.registry.networks import NETWORKS
from dctdiff.registry.samplers import FRAMEWORKS
from dctdiff.registry.spaces import SPACES

OF_A_MODEL = {"space": SPACES, "network_kind": NETWORKS, "framework": FRAMEWORKS}


def check_known(config: dict) -> None:
    """A ValueError if the fields of a ``ModelConfig`` name what is not there: a model of a fork, or a later version."""
    for key, registry in OF_A_MODEL.items():
        if config.get(key) not in (None, *registry):
            raise ValueError(f"its {key} is {config[key]}, but this version has {', '.join(registry)}")
