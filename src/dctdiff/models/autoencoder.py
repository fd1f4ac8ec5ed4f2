"""The autoencoder of the latent space: that of Stable Diffusion, as diffusers builds it, and where its weights are.

Its weights are used as they are and never trained here. Two layouts of them are known: that of diffusers, and that
of the code of latent diffusion, which the paper's baseline has them from (protocol point 48).
"""

import functools
import re
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from dctdiff.data.fetching import obtain_weights
from dctdiff.models.config import Autoencoder
from dctdiff.models.release import read_state_dict
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import sha256
from dctdiff.pipeline.hardware import import_torchvision
from dctdiff.spaces.latent import CHANNELS, SCALE

WIDTH, RANDOM_WIDTH = 128, 8  # channels at full resolution, of the real one and of one for tests
MOST_GROUPS = 32  # of a normalisation
LEVELS = (1, 2, 4, 4)  # width at each resolution, in that at full resolution
ONLY_DIFFUSERS = "encoder.conv_norm_out.weight"  # a name that the other layout lacks
# diffusers renamed the layers of its attention; files of before have the old names.
RENAMED = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
N_NAMED = 3  # tensors in a message
OTHER_FILE = "take the file of the autoencoder of Stable Diffusion 1"


@functools.lru_cache(maxsize=2)
def loaded(which: Autoencoder, device: torch.device) -> nn.Module:
    """In eval mode on ``device``, fetched if need be; a UserError if its file is not there or another one."""
    network = random_autoencoder(which.seed) if which.seed is not None else read_autoencoder(located(which))
    return network.requires_grad_(False).eval().to(device)


def located(which: Autoencoder) -> Path:
    """The file, once its digest is the expected one."""

    def check(path: Path, shown: str, remedy: str) -> None:
        found = sha256(path)
        if found != which.sha256:
            raise UserError(
                f"{shown} has the SHA-256 {found}, but autoencoder.sha256 is {which.sha256}; {remedy}, or correct the "
                "digest if you trust this file"
            )

    if which.url is not None:
        return obtain_weights(which.url, check)
    path = Path(which.file)
    if not path.is_file():
        raise UserError(f"{path} does not exist; put the autoencoder there, or give its url in autoencoder")
    check(path, str(path), OTHER_FILE)
    return path


def built(width: int = WIDTH) -> nn.Module:
    """``diffusers.AutoencoderKL`` with the numbers of Stable Diffusion; of another ``width`` for tests."""
    import_torchvision()  # which diffusers imports
    from diffusers import AutoencoderKL  # here: it takes seconds, and only latents need it

    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=len(LEVELS) * ("DownEncoderBlock2D",),
        up_block_types=len(LEVELS) * ("UpDecoderBlock2D",),
        block_out_channels=tuple(level * width for level in LEVELS),
        layers_per_block=2,
        act_fn="silu",
        latent_channels=CHANNELS,
        norm_num_groups=min(MOST_GROUPS, width),
        scaling_factor=SCALE,
    )


def random_autoencoder(seed: int, width: int = RANDOM_WIDTH) -> nn.Module:
    """With the initial weights of PyTorch, drawn from ``seed``."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return built(width)


def read_autoencoder(path: Path, width: int = WIDTH) -> nn.Module:
    """With the weights of a file: safetensors, or a state dict of ``torch.save``; all of them must fit."""
    with torch.device("meta"):
        network = built(width)
    weights = in_own_names(_tensors(path), network)
    expected = {name: tensor.shape for name, tensor in network.state_dict().items()}
    for wrong, word in ((expected.keys() - weights.keys(), "lacks"), (weights.keys() - expected.keys(), "also has")):
        if wrong:
            raise UserError(f"{path} {word} {', '.join(sorted(wrong)[:N_NAMED])}; {OTHER_FILE}")
    for name, shape in expected.items():
        if weights[name].shape != shape:
            found = tuple(weights[name].shape)
            raise UserError(f"{path}: {name} has the shape {found}, but {tuple(shape)} is expected; {OTHER_FILE}")
    network.load_state_dict(weights, assign=True)
    return network


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    if path.suffix != ".safetensors":
        return read_state_dict(path)
    try:
        return {name: tensor.float() for name, tensor in load_file(path).items()}
    except SafetensorError as error:
        raise UserError(f"{path} is not a file of safetensors ({error}); {OTHER_FILE}") from None


def in_own_names(weights: dict[str, torch.Tensor], network: nn.Module) -> dict[str, torch.Tensor]:
    """The weights under the names that ``network`` has for them."""
    if ONLY_DIFFUSERS not in weights:
        from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

        return convert_ldm_vae_checkpoint(weights, network.config)
    old = re.compile(rf"(\.attentions\.\d+)\.({'|'.join(RENAMED)})\.")
    return {old.sub(lambda found: f"{found[1]}.{RENAMED[found[2]]}.", name): value for name, value in weights.items()}
