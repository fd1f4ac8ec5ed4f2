"""DCTdiff: diffusion models on the DCT coefficients of YCbCr blocks (arXiv 2412.15032).

docs/api.md shows what this module offers. Nothing of it is imported before it is used.
"""

import importlib
import os

from dctdiff.pipeline.arithmetic import settle_arithmetic

settle_arithmetic(os.environ)

# Name -> module of dctdiff.api.
OFFERED = {
    "load_model": "model",
    "sample": "model",
    "dct_codec": "coding",
    "encode": "coding",
    "decode": "coding",
    "clipped_share": "coding",
    "distance": "comparison",
}
__all__ = list(OFFERED)


def __getattr__(name: str):
    if name not in OFFERED:
        raise AttributeError(f"module 'dctdiff' has no attribute {name!r}")
    return getattr(importlib.import_module(f"dctdiff.api.{OFFERED[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *OFFERED])
