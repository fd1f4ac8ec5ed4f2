"""DCTdiff: diffusion models on the DCT coefficients of YCbCr blocks (arXiv 2412.15032)."""
