"""Image embeddings of CLIP ViT-L/14 at 336 pixels (Radford et al. 2021, arXiv 2103.00020): what CMMD compares.

The network is that of transformers, built from the numbers below and filled from one file, so no hub
is asked. Images are prepared as in the code of CMMD (cmmd/io_util.py and cmmd/embedding.py of
github.com/google-research/google-research): the middle square, Pillow's bicubic filter, and the mean
and deviation of CLIP's training images (protocol point 39).
"""

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import sha256

FILE = "clip-vit-large-patch14-336-c6032c2e.bin"
URL = (
    "https://huggingface.co/openai/clip-vit-large-patch14-336/resolve/"
    "ce19dc912ca5cd21c8a653c79e251e808ccabcd1/pytorch_model.bin"
)
SHA256 = "c6032c2e0caae3dc2d4fba35535fa6307dbb49df59c7e182b1bc4b3329b81801"
SHAPE = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 336,
    "patch_size": 14,
    "projection_dim": 768,
}
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


def load_clip(path: Path, device: torch.device) -> Callable[[torch.Tensor], torch.Tensor]:
    """Images (N, H, W, 3) uint8 -> embeddings (N, 768) float32, not normalised; weights from ``path``, or fetched."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    network = CLIPVisionModelWithProjection(CLIPVisionConfig(**SHAPE)).eval()
    network.load_state_dict(_vision_weights(path, network.state_dict()))
    network.to(device)
    mean = torch.tensor(MEAN, device=device)
    std = torch.tensor(STD, device=device)

    def embed(images: torch.Tensor) -> torch.Tensor:
        squares = torch.from_numpy(middle_squares(images.cpu().numpy(), SHAPE["image_size"])).to(images.device)
        x = (squares.float() / 255 - mean) / std
        return network(pixel_values=x.permute(0, 3, 1, 2)).image_embeds

    return embed


def middle_squares(images: np.ndarray, side: int) -> np.ndarray:
    """(N, H, W, 3) uint8 -> (N, side, side, 3) uint8, by Pillow's bicubic filter."""
    height, width = images.shape[1:3]
    shorter = min(height, width)
    top, left = (height - shorter) // 2, (width - shorter) // 2
    middle = np.ascontiguousarray(images[:, top : top + shorter, left : left + shorter])
    return np.stack([np.asarray(Image.fromarray(image).resize((side, side), Image.BICUBIC)) for image in middle])


def _vision_weights(path: Path, needed: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The part of CLIP that sees images; the file also holds the part that reads."""
    if not path.exists():
        _fetch(path)
    found = sha256(path)
    if found != SHA256:
        raise UserError(
            f"{path} has the SHA-256 {found}, but that of the CLIP weights is {SHA256}; delete it, and run again to "
            f"fetch it, or put {URL} there"
        )
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
        return {name: held[name] for name in needed}
    except (RuntimeError, EOFError, ValueError, LookupError, TypeError, pickle.UnpicklingError):
        raise UserError(f"{path} does not hold the weights of a CLIP that sees; put {URL} there") from None


def _fetch(path: Path) -> None:
    """1.7 GB; it lies at ``path`` only when it is whole and the right one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(URL, str(path), hash_prefix=SHA256)
    except (OSError, RuntimeError) as error:  # no network; another digest
        raise UserError(
            f"the CLIP weights are not at {path} and could not be fetched ({error}); put {URL} there, or set "
            "extractor: efficientnet-lite0"
        ) from None
