"""Figures: what is drawn is what was measured, and everything is inside the picture."""

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from dctdiff.analysis.spectrum import crossing_times
from dctdiff.diffusion.schedule import Schedule
from dctdiff.report import figures
from dctdiff.spaces.zigzag import zigzag

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def texts(figure: Figure) -> list[str]:
    """Entries of the legends, of the figure or of its axes."""
    legends = figure.legends + [axes.get_legend() for axes in figure.axes if axes.get_legend()]
    return [text.get_text() for legend in legends for text in legend.get_texts()]


def all_inside(figure: Figure) -> bool:
    """Whether no label, tick or legend is cut off at the edge."""
    figure.canvas.draw()
    tight, whole = figure.get_tightbbox(), figure.get_window_extent().transformed(figure.dpi_scale_trans.inverted())
    return min(tight.x0 - whole.x0, tight.y0 - whole.y0, whole.x1 - tight.x1, whole.y1 - tight.y1) > -0.02  # inches


def channel(n: int) -> dict:
    counts = np.zeros((n, 100), dtype=int)
    counts[:, 40:60] = 1 + np.arange(n)[:, None]
    return {"entropy": [6.0 - 5.5 * index / n for index in range(n)], "histogram": counts.tolist()}


@pytest.mark.parametrize("block_size", [2, 4, 8])
def test_every_coefficient_of_every_channel_is_drawn(block_size):
    n = block_size**2
    statistics = {"block_size": block_size, "eta": 240.0, "channels": {name: channel(n) for name in ("y", "cb", "cr")}}
    figure = figures.coefficient_distributions("d-dct", statistics)
    histograms, maps = figure.axes[:3], figure.axes[3:6]
    assert [len(axes.lines) for axes in histograms] == [n, n, n]
    assert np.nansum(histograms[0].lines[1].get_ydata()) == pytest.approx(1)
    # Colours follow the zigzag order: the lightest is the last coefficient.
    brightness = [sum(line.get_color()[:3]) for line in histograms[0].lines]
    assert brightness[-1] == max(brightness) and len(zigzag(block_size)) == n
    written = [float(text.get_text()) for text in maps[0].texts]
    assert written == pytest.approx(channel(n)["entropy"], abs=0.051)
    assert "eta = 240" in figure.get_suptitle()
    assert all_inside(figure)


def test_pixels_have_one_distribution_per_channel():
    statistics = {"eta": 127.5, "channels": {name: channel(1) for name in "rgb"}}
    figure = figures.coefficient_distributions("d-pixel", statistics)
    assert [axes.get_title() for axes in figure.axes] == ["R: 6.00 bit", "G: 6.00 bit", "B: 6.00 bit"]
    assert all_inside(figure)


def truncation(values: dict[int, float], m_star: int | None) -> dict:
    return {
        "block_size": 4, "bound": 0.5, "m_star": m_star, "n_images": 50, "protocol": {"metric": "FID"},
        "curve": [{"m": m, "kept": 16 - m, "value": value} for m, value in values.items()],
    }  # fmt: skip


def test_the_curve_marks_m_star_and_the_bound():
    figure = figures.truncation_curve("t", truncation({0: 0.1, 8: 0.4, 15: 30.0}, 8))
    curve, bound, star = figure.axes[0].lines
    assert curve.get_ydata().tolist() == [0.1, 0.4, 30.0]
    assert list(bound.get_ydata()) == [0.5, 0.5]
    assert (star.get_xdata()[0], star.get_ydata()[0]) == (8, 0.4)
    assert texts(figure) == ["reconstructions", "bound 0.5", "m* = 8, 8 kept"]
    assert figure.axes[0].get_ylabel() == "rFID, n = 50"
    assert all_inside(figure)


def test_the_curve_without_m_star_says_so_and_survives_a_distance_of_zero():
    assert "no m is below the bound" in texts(figures.truncation_curve("t", truncation({0: 0.7, 8: 0.9}, None)))
    figure = figures.truncation_curve("t", truncation({0: -1e-7, 8: 0.9}, 0))
    assert min(figure.axes[0].lines[0].get_ydata()) > 0
    assert all_inside(figure)


def spectrum() -> dict:
    power = np.array([0.5, 1e-2, 1e-3, 0.0])
    values = {"power": power.tolist(), "crossing_times": crossing_times(power, Schedule(4.0)).tolist()}
    rings = np.arange(12)
    clean = 100.0 / (1 + rings) ** 2
    return {
        "resolution": 16, "times": [0.1, 1.0], "snr_scale": 4.0,
        "luma": {
            "cycles_per_image": rings.tolist(), "clean": clean.tolist(), "noise": [0.1, 1.0],
            "noisy": [(0.9 * clean + 0.1).tolist(), [1.0] * 12],
        },
        "dct": {
            "block_size": 2, "kept_coefficients": 3, "eta": 240.0,
            "channels": {name: values for name in ("y", "cb", "cr")},
        },
    }  # fmt: skip


def test_spectra_are_drawn_from_one_cycle_to_nyquist_with_the_noise():
    figure = figures.spectra("s", spectrum())
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert lines["images (t = 0)"].get_xdata().tolist() == list(range(1, 9))
    assert lines["t = 0.1"].get_ydata()[0] == pytest.approx(0.9 * 25 + 0.1)
    levels = [
        line.get_ydata()[0] for line in figure.axes[0].lines if line.get_linestyle() == ":" and len(line.get_ydata())
    ]
    assert levels == [0.1, 1.0]
    assert texts(figure) == ["images (t = 0)", "t = 0.1", "t = 1", "noise alone at that t"]
    assert all_inside(figure)


def test_the_snr_is_drawn_for_every_channel_with_its_crossing():
    figure = figures.snr_per_frequency("s", spectrum())
    for axes, title in zip(figure.axes[:3], ("Y", "Cb", "Cr"), strict=True):
        assert axes.get_title() == title
        ratios = axes.collections[0].get_array()  # (places, times)
        assert ratios.shape[0] == 4
        assert np.all(ratios[0] > ratios[1]) and np.all(ratios[3] == 0)
        assert [text.get_text() for text in axes.texts] == ["dropped"]
    assert all_inside(figure)
