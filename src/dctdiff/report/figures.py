"""Figures of statistics and spectra. Each function draws on a new matplotlib figure and returns it."""

import os

os.environ["MPLBACKEND"] = "Agg"  # whatever a notebook has set, which may not even be installed

import matplotlib
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from dctdiff.analysis.spectrum import snr
from dctdiff.diffusion.schedule import Schedule
from dctdiff.spaces.zigzag import zigzag

FIRST_TIME = 1e-3  # of the SNR's time axis: where the Euler samplers end
PLATE = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}  # behind text on a picture


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
        axes.set(title=channel.capitalize(), xlabel="value / eta", xlim=(-1, 1), xticks=(-1, 0, 1))
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
        axes.set_title(f"{channel.capitalize()}: entropy of each coefficient", fontsize="medium")
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
        axes.set(xscale="log", xlabel="t", title=channel.capitalize(), xlim=(FIRST_TIME, 1), ylim=edges[[0, -1]])
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
