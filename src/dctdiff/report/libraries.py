"""The two libraries that the page embeds: Vega-Lite draws its charts, DataTables sorts its tables.

Both come with wheels, so the page needs no network, neither when it is made nor when it is read.
"""

import base64
from pathlib import Path

import itables.options
import vl_convert


def vega() -> str:
    """A script that defines ``vegaEmbed``."""
    return vl_convert.javascript_bundle()


def datatables() -> str:
    """The address of a module, as data, whose default is ``DataTable``."""
    return f"data:text/javascript;base64,{base64.b64encode(Path(itables.options.dt_bundle).read_bytes()).decode()}"
