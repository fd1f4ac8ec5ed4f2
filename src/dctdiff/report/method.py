"""The figure of the method: one photograph on its way through the codec to the network, and back.

What is shown is computed: planes, coefficients and the last image come from the code that training and
sampling use. Places and sizes are in inches.
"""

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

from dctdiff.spaces.colour import ycbcr_planes
from dctdiff.spaces.dct import DCTCodec
from dctdiff.spaces.zigzag import zigzag

WIDTH, HEIGHT = 8.0, 4.1
LARGE, SMALL, CELL = 1.5, 0.71, 0.95  # sides of a photograph, of a halved plane or block, of the zigzag
UPPER, LOWER = 2.27, 0.15  # feet of the two rows
MIDDLE = LOWER + LARGE / 2
BLOCKS = ("Y", "Y", "Y", "Y", "Cb", "Cr")
MARK = "C3"  # the patch that is followed
PLATE = {"facecolor": "white", "edgecolor": "none", "pad": 1.2, "alpha": 0.85}  # behind text on a picture


def method(image: np.ndarray, block_size: int, kept: int, patch: tuple[int, int]) -> Figure:
    """Eight panels, from ``image`` ``(R, R, 3)`` uint8 to the network and back; ``patch``: row, column of a token."""
    pixels, side = torch.tensor(image)[None], 2 * block_size
    across = len(image) // side
    unscaled = DCTCodec(len(image), block_size, block_size**2, 1.0).encode(pixels)[0]  # (T, 6 B*B)
    eta = unscaled[:, 0].abs().max().item()  # of a data set it is a percentile, to the same effect
    token = (unscaled[patch[0] * across + patch[1]] / eta).reshape(6, -1).numpy()
    codec = DCTCodec(len(image), block_size, kept, eta)

    figure = Figure(figsize=(WIDTH, HEIGHT))
    _picture(_panel(figure, 0.1, UPPER, LARGE), image, patch, side)
    planes = _planes(pixels)
    for name, plane, x, y in zip(("Y", "Cb", "Cr"), planes, (2.2, 3.8, 3.8), (UPPER, UPPER + 0.79, UPPER), strict=True):
        full = name == "Y"
        axes = _panel(figure, x, y, LARGE if full else SMALL)
        _picture(axes, plane, patch, side if full else block_size)
        _name(axes, name)
    for name, block, place in zip(BLOCKS, _blocks(planes, block_size, patch), _places(5.35, UPPER), strict=True):
        axes = _panel(figure, *place, SMALL)
        _picture(axes, block)
        _name(axes, name)
    for name, values, place in zip(BLOCKS, token, _places(5.35, LOWER), strict=True):
        block = np.empty(block_size**2)
        block[zigzag(block_size)] = values
        axes = _panel(figure, *place, SMALL)
        _signed(axes, block.reshape(block_size, block_size))
        _name(axes, name, right=True)  # the DC stands on the left
    _zigzag(_panel(figure, 3.95, MIDDLE - CELL / 2, CELL), block_size, kept)
    rows = _panel(figure, 2.8, MIDDLE - CELL / 2, 0.72, CELL)
    _signed(rows, token[:, :kept])
    rows.set_yticks(range(6), BLOCKS, fontsize=7)
    rows.tick_params(left=False, labelleft=True, pad=2)
    _network(figure, 1.85, MIDDLE - CELL / 2, 0.55, CELL)
    _picture(_panel(figure, 0.1, LOWER, LARGE), codec.decode(codec.encode(pixels))[0].numpy())

    _heading(figure, 0.1, UPPER, "1  RGB image")
    _heading(figure, 2.2, UPPER, "2  YCbCr, Cb and Cr halved")
    _heading(figure, 5.35, UPPER, f"3  a patch: six {block_size} x {block_size} blocks")
    _heading(figure, 5.35, LOWER, "4  DCT, divided by eta")
    _heading(figure, 3.95, LOWER, "5  zigzag")
    _heading(figure, 2.8, LOWER, "6  token")
    _heading(figure, 1.85, LOWER, "7  network")
    _heading(figure, 0.1, LOWER, "8  and back")
    _words(figure, 3.95 + CELL / 2, f"{kept} of {block_size**2} kept")
    _words(figure, 2.8 + 0.36, f"6 x {kept} values")
    _words(figure, 1.85 + 0.275, f"{across**2} tokens")
    for start, end in ((1.68, 2.12), (4.6, 5.25)):
        _arrow(figure, (start, UPPER + LARGE / 2), (end, UPPER + LARGE / 2))
    _arrow(figure, (7.0, UPPER - 0.06), (7.0, LOWER + LARGE + 0.08))
    for start, end in ((5.25, 4.98), (3.87, 3.6), (2.6, 2.44), (1.85, 1.68)):
        _arrow(figure, (start, MIDDLE), (end, MIDDLE))
    return figure


def _panel(figure: Figure, x: float, y: float, width: float, height: float | None = None) -> Axes:
    axes = figure.add_axes((x / WIDTH, y / HEIGHT, width / WIDTH, (height or width) / HEIGHT))
    axes.tick_params(left=False, bottom=False, labelleft=False, labelbottom=False)
    return axes


def _places(x: float, y: float) -> list[tuple[float, float]]:
    """Feet of the six blocks of a token: four of Y as they lie in the image, Cb and Cr on their right."""
    step = LARGE - SMALL
    luma = [(x + column * step, y + row * step) for row in (1, 0) for column in (0, 1)]
    return [*luma, (x + 2 * step + 0.15, y + step), (x + 2 * step + 0.15, y)]


def _planes(pixels: torch.Tensor) -> list[np.ndarray]:
    """Y ``(R, R)``, Cb and Cr ``(R/2, R/2)``, 0 to 255."""
    luma, *chroma = ycbcr_planes(pixels)[0].numpy() + 128.0
    half = len(luma) // 2
    return [luma, *(plane.reshape(half, 2, half, 2).mean(axis=(1, 3)) for plane in chroma)]


def _blocks(planes: list[np.ndarray], block_size: int, patch: tuple[int, int]) -> list[np.ndarray]:
    """The six ``(B, B)`` blocks of a patch."""
    places = [(0, 2 * patch[0] + row, 2 * patch[1] + column) for row in (0, 1) for column in (0, 1)]
    places += [(1, *patch), (2, *patch)]
    return [planes[n][row * block_size :, column * block_size :][:block_size, :block_size] for n, row, column in places]


def _picture(axes: Axes, pixels: np.ndarray, patch: tuple[int, int] | None = None, side: int = 0) -> None:
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    if patch:
        corner = (patch[1] * side - 0.5, patch[0] * side - 0.5)
        axes.add_patch(Rectangle(corner, side, side, fill=False, edgecolor=MARK, linewidth=1.6))


def _signed(axes: Axes, values: np.ndarray) -> None:
    """Blue below 0, red above; by the root, else only the DC would show."""
    axes.imshow(np.sign(values) * np.abs(values) ** 0.5, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")


def _zigzag(axes: Axes, block_size: int, kept: int) -> None:
    """The order of the coefficients in a block; the dropped ones are grey."""
    order = np.array(zigzag(block_size))
    rank = np.empty(block_size**2)
    rank[order] = np.arange(block_size**2)
    axes.imshow((rank >= kept).reshape(block_size, block_size), cmap="Greys", vmin=0, vmax=3)
    rows, columns = np.divmod(order, block_size)
    axes.plot(columns[:kept], rows[:kept], "o-", color="C0", markersize=3, linewidth=1.4)
    axes.plot(columns[kept - 1 :], rows[kept - 1 :], ":", color="0.45", linewidth=1.2)


def _network(figure: Figure, x: float, y: float, width: float, height: float) -> None:
    axes = _panel(figure, x, y, width, height)
    axes.set_axis_off()
    axes.set(xlim=(0, width), ylim=(0, height))
    box = FancyBboxPatch((0.04, 0.04), width - 0.08, height - 0.08, boxstyle="round,pad=0,rounding_size=0.08")
    box.set(facecolor="#e8eef7", edgecolor="C0", linewidth=1.4)
    axes.add_patch(box)
    axes.text(width / 2, height / 2, "U-ViT", ha="center", va="center", fontsize=9.5)


def _name(axes: Axes, name: str, right: bool = False) -> None:
    x, side = (0.94, "right") if right else (0.06, "left")
    axes.text(x, 0.93, name, transform=axes.transAxes, ha=side, va="top", fontsize=8, bbox=PLATE)


def _heading(figure: Figure, x: float, foot: float, words: str) -> None:
    figure.text(x / WIDTH, (foot + LARGE + 0.07) / HEIGHT, words, fontsize=9.5, ha="left", va="bottom")


def _words(figure: Figure, x: float, words: str) -> None:
    figure.text(
        x / WIDTH, (MIDDLE - CELL / 2 - 0.15) / HEIGHT, words, fontsize=8, ha="center", va="center", color="0.3"
    )


def _arrow(figure: Figure, start: tuple[float, float], end: tuple[float, float]) -> None:
    ends = ((x / WIDTH, y / HEIGHT) for x, y in (start, end))
    figure.add_artist(FancyArrowPatch(*ends, arrowstyle="-|>", mutation_scale=10, color="0.3", shrinkA=0, shrinkB=0))
