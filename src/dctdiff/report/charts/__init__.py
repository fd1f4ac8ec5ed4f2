"""Charts: one module per subject. Each is Vega-Lite, drawn by the page and, once more, into a PNG."""
