"""Figures of the report. Each function draws on a new matplotlib figure and returns it."""

import itertools
import os
from collections.abc import Iterator

os.environ["MPLBACKEND"] = "Agg"  # whatever a notebook has set, which may not even be installed

import matplotlib
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogFormatter, NullLocator

from dctdiff.analysis.spectrum import snr
from dctdiff.diffusion.schedule import Schedule
from dctdiff.spaces.zigzag import zigzag

SAMPLER_STYLE = {
    "dpm_solver": ("o-", "DPM-Solver"),
    "euler_ode": ("s--", "Euler ODE"),
    "euler_sde": ("^:", "Euler SDE"),
    "ddim": ("D-.", "DDIM"),
    "ddpm": ("v:", "DDPM"),
}
LOSS_STYLES = ("-", "--", "-.", ":")
FLOOR_STYLES = (":", "-.", (0, (1, 3)))
WIDE_RANGE = 10  # largest over smallest value from which an axis is logarithmic
FIRST_TIME = 1e-3  # of the SNR's time axis: where the Euler samplers end
PLATE = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}  # behind text on a picture
CHANNEL_NAMES = {"y": "Y", "cb": "Cb", "cr": "Cr", "r": "R", "g": "G", "b": "B"}


def distance_against_nfe(plan: dict, evaluations: dict[str, dict[str, dict]], dataset: str) -> Figure:
    """Distance of each run and sampler against NFE, with the floors as lines.

    Cells that differ in their checkpoint or number of images are series of their own.
    """
    figure, axes = plt.subplots(figsize=(9, 4.2), layout="constrained")
    cells = {
        name: cell
        for name, cell in plan["cells"].items()
        if cell["reference"] == dataset and evaluations["cells"].get(name)
    }
    several_n = len({cell["n_images"] for cell in cells.values()}) > 1
    metric = "distance"
    series: dict[tuple, list[tuple[int, float]]] = {}
    for name, cell in cells.items():
        evaluation = evaluations["cells"][name]
        metric = evaluation["protocol"]["metric"]
        key = (cell["run"], cell["sampler"], cell.get("checkpoint", "last"), cell["n_images"])
        series.setdefault(key, []).append((cell["nfe"], evaluation["value"]))
    runs = list(dict.fromkeys(cell["run"] for cell in cells.values()))
    for run, sampler, checkpoint, n_images in sorted(series, key=lambda key: runs.index(key[0])):
        points = series[run, sampler, checkpoint, n_images]
        style, label = SAMPLER_STYLE[sampler]
        label = f"{run}, {label}"
        label += ", best checkpoint" if checkpoint == "best" else ""
        label += f", n = {n_images}" if several_n else ""
        colour = f"C{runs.index(run)}"
        axes.plot(*zip(*sorted(points), strict=True), style, color=colour, markerfacecolor="white", label=label)
    floors = {"held-out images": evaluations["heldout"].get(dataset)}
    for name, codec in plan["codecs"].items():
        if codec["dataset"] == dataset:
            floors[f"held-out through {name}"] = evaluations["round_trip"].get(name)
    for (label, evaluation), style in zip(floors.items(), FLOOR_STYLES * len(floors), strict=False):
        if evaluation:
            axes.axhline(evaluation["value"], color="0.4", linestyle=style, linewidth=1.2, label=label)
    values = [value for points in series.values() for _, value in points]
    values += [evaluation["value"] for evaluation in floors.values() if evaluation]
    axes.set(xlabel="NFE", ylabel=metric, title=f"{dataset}: lower is better")
    _scale_nfe(axes, sorted({cell["nfe"] for cell in cells.values()}))
    if values and min(values) > 0 and max(values) >= WIDE_RANGE * min(values):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(LogFormatter())
        axes.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(2, 0.5)))
    else:
        axes.set_ylim(0, None)
    if values:
        figure.legend(loc="outside right upper", fontsize="small", frameon=False)
    return figure


def _scale_nfe(axes: Axes, nfes: list[int]) -> None:
    """A tick at each NFE that occurs."""
    if nfes and nfes[-1] >= WIDE_RANGE * nfes[0]:
        axes.set_xscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(nfes, [str(nfe) for nfe in nfes])


def loss_curves(logs: dict[str, list[dict]], smoothing: int) -> Figure:
    """Training loss against images seen, averaged over ``smoothing`` log lines.

    The log of published weights has no loss, and no curve.
    """
    trained = {name: [line for line in lines if line["loss"] is not None] for name, lines in logs.items()}
    trained = {name: lines for name, lines in trained.items() if lines}
    figure, axes = _one_panel(len(trained))
    for (name, lines), (style, colour) in zip(trained.items(), _line_styles(), strict=False):
        window = min(smoothing, len(lines))
        smooth = np.convolve([line["loss"] for line in lines], np.ones(window) / window, mode="valid")
        axes.plot([line["images"] for line in lines[window - 1 :]], smooth, style, color=colour, label=name)
    axes.set(xlabel="images seen", ylabel="training loss")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_title("Losses of different spaces do not compare", fontsize="medium")
    if trained:
        figure.legend(loc="outside right upper", fontsize="small", frameon=False)
    return figure


def distance_against_training(selections: dict[str, dict]) -> Figure:
    """Distance of each kept checkpoint of each run against its steps."""
    figure, axes = _one_panel(len(selections))
    _plot_checkpoints(axes, selections, {name: _steps(selection) for name, selection in selections.items()})
    axes.set_xlabel("steps")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    if selections:
        figure.legend(loc="outside right upper", fontsize="small", frameon=False)
    return figure


def distance_against_time(selections: dict[str, dict], logs: dict[str, list[dict]]) -> Figure:
    """The same against the time that the steps took: measured, so not alike from one training to the next."""
    logged = {name: selection for name, selection in selections.items() if logs.get(name)}
    figure, axes = _one_panel(len(logged))
    seconds = {name: _seconds_at(_steps(selection), logs[name]) for name, selection in logged.items()}
    unit, seconds_per_unit = _time_unit(max((values[-1] for values in seconds.values()), default=0.0))
    _plot_checkpoints(axes, logged, {name: values / seconds_per_unit for name, values in seconds.items()})
    axes.set_xlabel(f"{unit} of training")
    if logged:
        figure.legend(loc="outside right upper", fontsize="small", frameon=False)
    return figure


def _plot_checkpoints(axes: Axes, selections: dict[str, dict], places: dict) -> None:
    """Distances at the ``places`` of each run's checkpoints; both axes begin at 0, and no point stands on the frame."""
    for (name, selection), (style, colour) in zip(selections.items(), _line_styles(), strict=False):
        values = [candidate["value"] for candidate in selection["candidates"]]
        shown = {"marker": "o", "markerfacecolor": "white", "color": colour}
        axes.plot(places[name], values, style, label=f"{name}, NFE {selection['nfe']}", **shown)
        axes.set_ylabel(f"{selection['protocol']['metric']}, n = {selection['n_images']}")
    axes.update_datalim([(0, 0)])
    axes.autoscale_view()
    axes.set(xlim=(0, None), ylim=(0, None))


def _steps(selection: dict) -> list[int]:
    return [candidate["step"] for candidate in selection["candidates"]]


def _seconds_at(steps: list[int], log: list[dict]) -> np.ndarray:
    """When each step was done, between the lines of the log by their steps."""
    lines = [{"step": 0, "seconds": 0.0}, *log]
    return np.interp(steps, [line["step"] for line in lines], [line["seconds"] for line in lines])


def _one_panel(n_lines: int) -> tuple[Figure, Axes]:
    """High enough for a legend of ``n_lines`` outside on the right."""
    return plt.subplots(figsize=(9, max(3.6, 0.24 * n_lines + 0.5)), layout="constrained")


def _line_styles() -> Iterator[tuple[str, tuple]]:
    """Style and colour of one line after the other."""
    colours = plt.get_cmap("tab10").colors
    return ((style, colour) for style in itertools.cycle(LOSS_STYLES) for colour in colours)


def _time_unit(longest: float) -> tuple[str, float]:
    """Hours, or minutes if nothing took two hours: name of the unit and its seconds."""
    return ("hours", 3600.0) if longest >= 7200 else ("minutes", 60.0)


def coefficient_distributions(name: str, statistics: dict) -> Figure:
    """Histogram of every coefficient of each channel, scaled by eta; below, every entropy in its block."""
    channels = statistics["channels"]
    side = statistics.get("block_size")
    figure, all_axes = plt.subplots(
        2 if side else 1, len(channels), figsize=(10, 6.6 if side else 3), layout="constrained", squeeze=False
    )
    order = zigzag(side) if side else [0]
    colours = _sequential(len(order))
    centres = np.linspace(-0.99, 0.99, 100)
    for axes, (channel, summary) in zip(all_axes[0], channels.items(), strict=True):
        for colour, index in zip(colours, order, strict=True):
            histogram = np.array(summary["histogram"][index], dtype=float)
            histogram[histogram == 0] = np.nan  # a gap in the line
            axes.plot(centres, histogram / max(1, np.nansum(histogram)), color=colour, linewidth=1)
        axes.set(title=CHANNEL_NAMES[channel], xlabel="value / eta", xlim=(-1, 1), xticks=(-1, 0, 1))
    for axes in all_axes[0, 1:]:
        axes.sharey(all_axes[0, 0])
        axes.tick_params(which="both", labelleft=False)
    all_axes[0, 0].set(ylabel="share of the values", yscale="log" if side else "linear")
    figure.suptitle(f"{name}: coefficients, eta = {statistics['eta']:g}", fontsize="medium")
    if not side:
        for axes, summary in zip(all_axes[0], channels.values(), strict=True):
            axes.set_title(f"{axes.get_title()}: {summary['entropy'][0]:.2f} bit")
        all_axes[0, 0].set_ylim(0, None)
        return figure
    _zigzag_bar(figure, all_axes[0], len(order))
    most = max(max(summary["entropy"]) for summary in channels.values())
    for axes, (channel, summary) in zip(all_axes[1], channels.items(), strict=True):
        picture = _entropy_map(axes, np.array(summary["entropy"]).reshape(side, side), most)
        axes.set_title(f"{CHANNEL_NAMES[channel]}: entropy of each coefficient", fontsize="medium")
    all_axes[1, 0].set_ylabel("vertical frequency")
    figure.colorbar(picture, ax=all_axes[1], label="bit")
    return figure


def _entropy_map(axes: Axes, entropies: np.ndarray, most: float):
    """A ``(B, B)`` map with the numbers written into it."""
    side = len(entropies)
    picture = axes.imshow(entropies, cmap="viridis", vmin=0, vmax=most)
    for (row, column), value in np.ndenumerate(entropies):
        axes.text(
            column, row, f"{value:.2f}" if side <= 4 else f"{value:.1f}", ha="center", va="center",
            fontsize=10 if side <= 4 else max(4, 56 // side), color="black" if value > 0.6 * most else "white",
        )  # fmt: skip
    axes.set_xticks(range(side))
    axes.set_yticks(range(side))
    axes.set_xlabel("horizontal frequency")
    return picture


def truncation_curve(name: str, truncation: dict) -> Figure:
    """Distance of reconstructions to the originals against m, with the bound and m*."""
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    m = [point["m"] for point in truncation["curve"]]
    values = np.array([point["value"] for point in truncation["curve"]])
    bound, m_star = truncation["bound"], truncation["m_star"]
    floor = min([bound, *values[values > 0]]) / 3  # equal images may come out at or just below 0
    axes.plot(m, np.maximum(values, floor), "o-", label="reconstructions")
    axes.axhline(bound, color="0.4", linestyle="--", linewidth=1.2, label=f"bound {bound:g}")
    if m_star is not None:
        at = values[m.index(m_star)]
        label = f"m* = {m_star}, {truncation['block_size'] ** 2 - m_star} kept"
        axes.plot([m_star], [max(at, floor)], "*", color="C3", markersize=16, label=label)
    else:
        axes.plot([], [], " ", label="no m is below the bound")
    axes.set(
        yscale="log", xlabel=f"m: coefficients dropped of {truncation['block_size'] ** 2}",
        ylabel=f"r{truncation['protocol']['metric']}, n = {truncation['n_images']}",
        title=f"{name}: what dropping high frequencies costs",
    )  # fmt: skip
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(fontsize="small", frameon=False)
    return figure


def spectra(name: str, spectrum: dict) -> Figure:
    """Power spectrum of the luma, clean and at each time, with the level of the noise alone."""
    luma = spectrum["luma"]
    figure, axes = plt.subplots(figsize=(8, 4.6), layout="constrained")
    nyquist = spectrum["resolution"] // 2
    frequency = np.array(luma["cycles_per_image"])
    shown = (frequency >= 1) & (frequency <= nyquist)
    axes.plot(frequency[shown], np.array(luma["clean"])[shown], color="black", linewidth=2, label="images (t = 0)")
    times = spectrum["times"]
    for colour, t, power, noise in zip(_sequential(len(times)), times, luma["noisy"], luma["noise"], strict=True):
        axes.plot(frequency[shown], np.array(power)[shown], color=colour, label=f"t = {t:g}")
        axes.axhline(noise, color=colour, linestyle=":", linewidth=1)
    axes.plot([], [], color="0.4", linestyle=":", linewidth=1, label="noise alone at that t")
    axes.set(
        xscale="log", yscale="log", xlabel="spatial frequency (cycles per image)",
        ylabel="power spectral density", title=f"{name}: noise drowns the high frequencies first",
    )  # fmt: skip
    octaves = [2**k for k in range(12) if 2**k <= nyquist]
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(octaves, [str(octave) for octave in octaves])
    figure.legend(loc="outside right upper", fontsize="small", frameon=False)
    return figure


def snr_per_frequency(name: str, spectrum: dict) -> Figure:
    """Signal-to-noise ratio of each DCT coefficient over t, and the time at which it passes 1."""
    dct, schedule = spectrum["dct"], Schedule(spectrum["snr_scale"])
    times = np.geomspace(FIRST_TIME, 1, 200)
    places = np.arange(dct["block_size"] ** 2)
    figure, all_axes = plt.subplots(1, len(dct["channels"]), figsize=(10, 4), layout="constrained", sharey=True)
    for axes, (channel, values) in zip(all_axes, dct["channels"].items(), strict=True):
        ratios = snr(np.array(values["power"]), schedule, times.tolist()).T  # (places, times)
        picture = axes.pcolormesh(
            times, places, ratios, norm=LogNorm(1e-4, 1e4), cmap="RdBu", shading="nearest", rasterized=True
        )
        edges = np.arange(len(places) + 1) - 0.5
        axes.stairs(values["crossing_times"], edges, orientation="horizontal", baseline=None, color="black")
        if dct["kept_coefficients"] < len(places):
            axes.axhline(dct["kept_coefficients"] - 0.5, color="black", linestyle="--", linewidth=1)
            axes.text(
                0.9, dct["kept_coefficients"] + 0.02 * len(places), "dropped", ha="right", va="bottom", bbox=PLATE
            )
        axes.set(xscale="log", xlabel="t", title=CHANNEL_NAMES[channel], xlim=(FIRST_TIME, 1), ylim=edges[[0, -1]])
    all_axes[0].set_ylabel("coefficient, in zigzag order")
    all_axes[0].yaxis.get_major_locator().set_params(integer=True)
    figure.colorbar(picture, ax=all_axes, label="signal-to-noise ratio", extend="both")
    figure.suptitle(
        f"{name}: when noise drowns a coefficient (SNR scale {spectrum['snr_scale']:g}; black: SNR = 1)",
        fontsize="medium",
    )
    return figure


def _sequential(n: int) -> np.ndarray:
    """``n`` colours from dark to light, none too light to see on white: (n, 4)."""
    return matplotlib.colormaps["viridis"](np.linspace(0, 0.88, n))


def _zigzag_bar(figure: Figure, all_axes: np.ndarray, n: int) -> None:
    """A colour bar that tells the colours of ``_sequential`` by their place in the zigzag order."""
    norm = BoundaryNorm(np.arange(n + 1) - 0.5, n)
    mappable = matplotlib.cm.ScalarMappable(norm, ListedColormap(_sequential(n)))
    bar = figure.colorbar(mappable, ax=all_axes, label="place in zigzag order")
    bar.set_ticks(np.unique(np.linspace(0, n - 1, min(n, 8)).round().astype(int)))
    bar.minorticks_off()
