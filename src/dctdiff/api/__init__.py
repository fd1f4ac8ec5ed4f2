"""What was made, used from Python: a model, its samples, a codec, the distance of two sets of images.

``import dctdiff`` offers all of it, and imports a module of this room when its first name is used.
"""

import os
from pathlib import Path

# A person runs this in any folder: kernels of the codec, compiled once, are kept beside params.yaml or at home.
if not Path("params.yaml").exists():
    os.environ.setdefault("NUMBA_CACHE_DIR", str(Path.home() / ".cache/dctdiff/numba"))
