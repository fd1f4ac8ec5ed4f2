"""The autoencoder of the latent space: that of Stable Diffusion, from files of two layouts, and no other file."""

import re

import pytest
import torch
from safetensors.torch import save_file

from dctdiff.data import fetching
from dctdiff.models import autoencoder
from dctdiff.models.autoencoder import RENAMED, built, loaded, located, random_autoencoder, read_autoencoder
from dctdiff.models.config import Autoencoder
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import sha256
from server import serving

CPU = torch.device("cpu")
TINY = 8  # channels at full resolution
# Names of latent diffusion for those of diffusers, in the order in which they are to be put.
LATENT_DIFFUSION = (
    (r"\.down_blocks\.(\d)\.resnets\.(\d)", r".down.\1.block.\2"),
    (r"\.down_blocks\.(\d)\.downsamplers\.0", r".down.\1.downsample"),
    (r"\.up_blocks\.(\d)\.resnets\.(\d)", lambda found: f".up.{3 - int(found[1])}.block.{found[2]}"),
    (r"\.up_blocks\.(\d)\.upsamplers\.0", lambda found: f".up.{3 - int(found[1])}.upsample"),
    (r"\.mid_block\.resnets\.(\d)", lambda found: f".mid.block_{int(found[1]) + 1}"),
    (r"\.mid_block\.attentions\.0\.group_norm", ".mid.attn_1.norm"),
    (r"\.mid_block\.attentions\.0\.to_([qkv])", r".mid.attn_1.\1"),
    (r"\.mid_block\.attentions\.0\.to_out\.0", ".mid.attn_1.proj_out"),
    (r"conv_shortcut", "nin_shortcut"),
    (r"conv_norm_out", "norm_out"),
)


def in_latent_diffusion(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    found = {}
    for name, tensor in weights.items():
        for pattern, new in LATENT_DIFFUSION:
            name = re.sub(pattern, new, name)
        is_map = tensor.ndim == 2  # of the attention: convolutions of one pixel there
        found[name] = tensor[:, :, None, None] if is_map else tensor
    return found


def before_the_new_names(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """As diffusers named its layers when Stable Diffusion 1 was released."""
    old = {f".{new}.": f".{old}." for old, new in RENAMED.items()}
    found = {}
    for name, tensor in weights.items():
        for new, word in old.items():
            name = name.replace(new, word)
        found[name] = tensor
    return found


@pytest.fixture(scope="module")
def weights():
    return random_autoencoder(3, TINY).state_dict()


@pytest.fixture(autouse=True)
def forgotten():
    loaded.cache_clear()


def test_the_sizes_are_those_of_stable_diffusion():
    with torch.device("meta"):
        network = built()
    assert sum(weight.numel() for weight in network.parameters()) == 83_653_863
    assert len(network.state_dict()) == 248
    assert len(in_latent_diffusion(network.state_dict())) == 248


def test_files_of_all_layouts_give_one_autoencoder(tmp_path, weights):
    images = torch.rand(1, 3, 16, 16)
    expected = random_autoencoder(3, TINY).encode(images).latent_dist.mean
    save_file(weights, tmp_path / "new.safetensors")
    save_file(before_the_new_names(weights), tmp_path / "old.safetensors")
    torch.save(in_latent_diffusion(weights), tmp_path / "latent_diffusion.pth")
    for name in ("new.safetensors", "old.safetensors", "latent_diffusion.pth"):
        network = read_autoencoder(tmp_path / name, TINY)
        assert torch.equal(network.encode(images).latent_dist.mean, expected)


def test_a_seed_gives_the_same_weights_whatever_was_drawn_before(weights):
    torch.rand(3)
    state = torch.random.get_rng_state()
    again = random_autoencoder(3, TINY).state_dict()
    assert all(torch.equal(again[name], weights[name]) for name in weights)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not torch.equal(random_autoencoder(4, TINY).state_dict()["quant_conv.weight"], weights["quant_conv.weight"])


def without(weights, name):
    return {key: value for key, value in weights.items() if key != name}


WRONG = {
    "a missing tensor": (lambda w: without(w, "quant_conv.bias"), r"lacks quant_conv\.bias; take the file of"),
    "one too many": (lambda w: w | {"loss.logvar": torch.zeros(1)}, r"also has loss\.logvar; take the file of"),
    "another shape": (
        lambda w: w | {"quant_conv.bias": torch.zeros(9)},
        r"quant_conv\.bias has the shape \(9,\), but \(8,\) is expected; take",
    ),
    "another network": (lambda w: {"norm.weight": torch.ones(4)}, "lacks decoder.conv_in.bias, .*; take the file of"),
}


@pytest.mark.parametrize(("change", "said"), WRONG.values(), ids=WRONG)
def test_another_network_is_refused_in_one_line(tmp_path, weights, change, said):
    save_file(change(weights), tmp_path / "a.safetensors")
    with pytest.raises(UserError, match=said) as error:
        read_autoencoder(tmp_path / "a.safetensors", TINY)
    assert "\n" not in str(error.value)


def test_a_broken_file_is_refused_in_one_line(tmp_path):
    for name, said in (("a.safetensors", "is not a file of safetensors"), ("a.pth", "a.pth ")):
        (tmp_path / name).write_bytes(b"broken" * 99)
        with pytest.raises(UserError, match=said) as error:
            read_autoencoder(tmp_path / name, TINY)
        assert "\n" not in str(error.value)


def test_a_file_counts_by_its_digest(tmp_path, weights, monkeypatch):
    monkeypatch.setattr(autoencoder, "read_autoencoder", lambda path: read_autoencoder(path, TINY))
    path = tmp_path / "a.safetensors"
    save_file(weights, path)
    network = loaded(Autoencoder(sha256(path), file=str(path)), CPU)
    assert not network.training and not any(weight.requires_grad for weight in network.parameters())
    with pytest.raises(
        UserError, match=rf"a\.safetensors has the SHA-256 {sha256(path)}, but autoencoder\.sha256 is 00"
    ):
        located(Autoencoder(64 * "0", file=str(path)))
    with pytest.raises(UserError, match=r"b\.safetensors does not exist; put the autoencoder there, or give its url"):
        located(Autoencoder(sha256(path), file=str(tmp_path / "b.safetensors")))


def test_it_is_fetched_once_and_only_the_right_one(tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "WEIGHTS", tmp_path / "weights")
    (tmp_path / "a.pth").write_bytes(b"what is there")
    digest = sha256(tmp_path / "a.pth")
    with serving(b"what is there") as server:
        url = f"http://127.0.0.1:{server.server_port}/a.pth"
        with pytest.raises(UserError, match=rf"/a\.pth has the SHA-256 {digest}, but autoencoder\.sha256 is 00"):
            located(Autoencoder(64 * "0", url=url))
        assert not (tmp_path / "weights/a.pth").exists()
        path = located(Autoencoder(digest, url=url))
    assert path == tmp_path / "weights/a.pth"
    assert located(Autoencoder(digest, url=url)) == path  # the server is gone
