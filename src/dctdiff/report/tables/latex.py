"""Tables as LaTeX."""

import pandas as pd

LONG_TABLE_ROWS, WIDE_TABLE_COLUMNS = 40, 8


def to_latex(table: pd.DataFrame, caption: str, label: str) -> str:
    """A float for one page, or a longtable; needs the packages booktabs and longtable."""
    escaped = table.map(lambda value: escape_latex(str(value)))
    escaped.columns = [escape_latex(column) for column in table.columns]
    latex = escaped.to_latex(
        index=False, caption=escape_latex(caption), label=label, escape=False,
        longtable=len(table) > LONG_TABLE_ROWS,
    )  # fmt: skip
    if len(table.columns) <= WIDE_TABLE_COLUMNS:
        return latex
    return f"{{\\tiny\\setlength{{\\tabcolsep}}{{2pt}}\n{latex}}}\n"


def escape_latex(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    special |= {character: f"\\{character}" for character in "&%$#_{}"}
    return "".join(special.get(character, character) for character in text)
