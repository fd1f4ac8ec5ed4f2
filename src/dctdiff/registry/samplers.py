"""Frameworks, and the samplers that each offers."""

from dataclasses import dataclass

from dctdiff.pipeline.named import At


@dataclass(frozen=True)
class Framework:
    """``diffusion``: a function, config of a model -> its loss and how it samples."""

    diffusion: At
    most_nfe: int | None = None


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """By framework a function ``(network, x, process, nfe, draw_noise) -> x``; see ``dctdiff.diffusion``."""

    label: str  # in figures
    continuous: At | None = None
    discrete: At | None = None
    draws: bool = False  # noise, in each step but the last; others solve the ODE


FRAMEWORKS = {
    "continuous": Framework(At("dctdiff.models.config.continuous")),
    "discrete": Framework(At("dctdiff.models.config.discrete"), most_nfe=1000),
}
SAMPLERS = {
    "dpm_solver": Sampler(label="DPM-Solver", continuous=At("dctdiff.diffusion.samplers.dpm_solver")),
    "euler_ode": Sampler(label="Euler ODE", continuous=At("dctdiff.diffusion.samplers.euler_ode")),
    "euler_sde": Sampler(label="Euler SDE", continuous=At("dctdiff.diffusion.samplers.euler_sde"), draws=True),
    "ddim": Sampler(
        label="DDIM",
        continuous=At("dctdiff.diffusion.samplers.ddim"),
        discrete=At("dctdiff.diffusion.discrete.ddim"),
    ),
    "ddpm": Sampler(
        label="DDPM",
        continuous=At("dctdiff.diffusion.samplers.ddpm"),
        discrete=At("dctdiff.diffusion.discrete.ddpm"),
        draws=True,
    ),
}


def offered(framework: str) -> list[str]:
    """Names of the samplers of a framework."""
    return [name for name, sampler in SAMPLERS.items() if getattr(sampler, framework) is not None]
