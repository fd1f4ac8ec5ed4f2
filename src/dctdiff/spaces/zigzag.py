"""The zigzag order of the coefficients of a block."""


def zigzag(block_size: int) -> list[int]:
    """Row-major indices of a ``B x B`` block from low to high frequency (protocol point 13)."""

    def diagonal(index: int) -> tuple[int, int]:
        row, column = divmod(index, block_size)
        total = row + column
        return total, row if total % 2 else column

    # Odd diagonals run downwards, even ones upwards: 0, 1, B, 2B, B + 1, 2, ...
    return sorted(range(block_size**2), key=diagonal)
