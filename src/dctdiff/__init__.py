"""DCTdiff: diffusion models on the DCT coefficients of YCbCr blocks (arXiv 2412.15032)."""

import os

# Sums of floats depend on the number of threads. One thread per process, unless the user says
# otherwise, gives the same numbers under every engine, on any number of cores. NumPy and PyTorch
# read this when they are imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
