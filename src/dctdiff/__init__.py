"""DCTdiff: diffusion models on the DCT coefficients of YCbCr blocks (arXiv 2412.15032)."""

import os

from dctdiff.pipeline.arithmetic import settle_arithmetic

settle_arithmetic(os.environ)
