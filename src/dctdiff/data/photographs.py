"""The photographs that the scikit-image wheel ships: real images without a download."""

import hashlib
from importlib.util import find_spec
from pathlib import Path

from dctdiff.pipeline.errors import UserError

# File -> SHA-256, as in scikit-image 0.25 and 0.26.
PHOTOGRAPHS = {
    "astronaut.png": "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
    "chelsea.png": "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
    "coffee.png": "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
    "hubble_deep_field.jpg": "3a19c5dd8a927a9334bb1229a6d63711b1c0c767fb27e2286e7c84a3e2c2f5f4",
    "motorcycle_left.png": "db18e9c4157617403c3537a6ba355dfeafe9a7eabb6b9b94cb33f6525dd49179",
    "retina.jpg": "38a07f36f27f095e818aea7b96d34202c05176d30253c66733f2e00379e9e0e6",
    "rocket.jpg": "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c",
}


def read_photographs(*source) -> list[tuple[str, bytes]]:
    """Name and bytes of each photograph, checked; nothing of scikit-image is imported, and ``source`` says nothing."""
    spec = find_spec("skimage")
    if spec is None:
        raise UserError("scikit-image is not installed; run make env")
    folder = Path(spec.origin).parent / "data"
    return [(name, _checked(folder / name, digest)) for name, digest in PHOTOGRAPHS.items()]


def _checked(path: Path, digest: str) -> bytes:
    if not path.is_file():
        raise UserError(f"{path} is missing; reinstall scikit-image at the version of the lock: make env")
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != digest:
        raise UserError(
            f"{path} has the SHA-256 {found[:16]}..., but {digest[:16]}... is expected; reinstall "
            "scikit-image at the version of the lock: make env"
        )
    return content
