"""Figures of the report. Each function draws on a new matplotlib figure and returns it."""

import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

SAMPLER_STYLE = {"dpm_solver": ("o-", "DPM-Solver"), "euler_ode": ("s--", "Euler ODE")}
FLOOR_STYLES = (":", "-.", (0, (1, 3)))


def distance_against_nfe(plan: dict, evaluations: dict[str, dict[str, dict]], dataset: str) -> Figure:
    """Distance of each run and sampler against NFE, with the floors as lines."""
    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    series: dict[tuple[str, str], list[tuple[int, float]]] = {}
    metric = "distance"
    for name, cell in plan["cells"].items():
        evaluation = evaluations["cells"].get(name)
        if cell["reference"] == dataset and evaluation:
            metric = evaluation["protocol"]["metric"]
            series.setdefault((cell["run"], cell["sampler"]), []).append((cell["nfe"], evaluation["value"]))
    colours = {run: f"C{index}" for index, run in enumerate(plan["runs"])}
    for (run, sampler), points in series.items():
        style, label = SAMPLER_STYLE[sampler]
        axes.plot(*zip(*sorted(points), strict=True), style, color=colours[run], label=f"{run}, {label}")
    floors = {"held-out images": evaluations["heldout"].get(dataset)}
    for name, codec in plan["codecs"].items():
        if codec["dataset"] == dataset:
            floors[f"held-out through {name}"] = evaluations["round_trip"].get(name)
    for (label, evaluation), style in zip(floors.items(), FLOOR_STYLES * len(floors), strict=False):
        if evaluation:
            axes.axhline(evaluation["value"], color="0.4", linestyle=style, linewidth=1.2, label=label)
    axes.set(xlabel="NFE", ylabel=metric, title=f"{dataset}: lower is better", ylim=(0, None))
    axes.legend(fontsize="small", frameon=False)
    return figure


def loss_curves(logs: dict[str, list[dict]], smoothing: int) -> Figure:
    """Training loss against images seen, averaged over ``smoothing`` log lines."""
    figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
    for name, lines in logs.items():
        images = np.array([line["images"] for line in lines])
        losses = np.array([line["loss"] for line in lines])
        window = min(smoothing, len(losses))
        smooth = np.convolve(losses, np.ones(window) / window, mode="valid")
        axes.plot(images[window - 1 :], smooth, label=name)
    axes.set(xlabel="images seen", ylabel="training loss", title="Losses of different spaces do not compare")
    axes.legend(fontsize="small", frameon=False)
    return figure


def coefficient_distributions(name: str, statistics: dict) -> Figure:
    """Histogram of every coefficient of each channel, scaled by eta, with its entropy."""
    channels = statistics["channels"]
    figure, all_axes = plt.subplots(1, len(channels), figsize=(9, 3), layout="constrained", sharey=True)
    edges = np.linspace(-1, 1, 101)
    for axes, (channel, summary) in zip(all_axes, channels.items(), strict=True):
        for index, (histogram, entropy) in enumerate(
            zip(summary["histogram"][:8], summary["entropy"][:8], strict=True)
        ):
            density = np.array(histogram) / max(1, sum(histogram))
            axes.stairs(np.maximum(density, 1e-6), edges, label=f"{index}: {entropy:.2f} bit")
        axes.set(yscale="log", title=channel, xlabel="value / eta")
        axes.legend(fontsize="x-small", frameon=False)
    all_axes[0].set_ylabel("share")
    figure.suptitle(f"{name}: coefficients, eta = {statistics['eta']:g}", fontsize="medium")
    return figure
