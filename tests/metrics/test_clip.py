"""CLIP embeddings, with a tiny network of random weights: the file, the preparation of images, the network."""

import dataclasses
import hashlib

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from dctdiff.metrics import clip
from dctdiff.metrics.features import load_extractor, weights_file
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.hardware import import_torchvision
from dctdiff.registry.extractors import EXTRACTORS

CPU = torch.device("cpu")
TINY = {
    "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 3, "image_size": 28,
    "patch_size": 14, "projection_dim": 6,
}  # fmt: skip
IMAGES = np.random.default_rng(0).integers(0, 256, (6, 20, 20, 3), dtype=np.uint8)


def whole_clip() -> dict[str, torch.Tensor]:
    """The state dict of a CLIP that sees and reads, as the published file has it."""
    import_torchvision()
    from transformers import CLIPConfig, CLIPModel

    text = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = CLIPConfig(vision_config=TINY, text_config=text, projection_dim=TINY["projection_dim"])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        state = CLIPModel(config).state_dict()
        state = {name: tensor + 0.3 * torch.randn(tensor.shape) for name, tensor in state.items()}
    return state | {"vision_model.embeddings.position_ids": torch.arange(5)[None]}  # which files of old versions hold


def use_tiny(monkeypatch) -> None:
    monkeypatch.setattr(clip, "SHAPE", TINY)
    resized = dataclasses.replace(EXTRACTORS["clip"], resolution=TINY["image_size"])
    monkeypatch.setitem(EXTRACTORS, "clip", resized)


@pytest.fixture
def weights(tmp_path, monkeypatch) -> dict[str, torch.Tensor]:
    """A tiny CLIP in place of the published one, where its file is looked for."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    use_tiny(monkeypatch)
    state, path = whole_clip(), weights_file("clip")
    path.parent.mkdir(parents=True)
    torch.save(state, path)
    monkeypatch.setattr(clip, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return state


def by_hand(state: dict[str, torch.Tensor], images: np.ndarray) -> torch.Tensor:
    """The vision transformer of CLIP, written down from its paper and the names in its file."""
    pixels = np.stack([np.asarray(Image.fromarray(i).resize((28, 28), Image.Resampling.BICUBIC)) for i in images])
    mean, std = np.array([0.48145466, 0.4578275, 0.40821073]), np.array([0.26862954, 0.26130258, 0.27577711])
    x = torch.from_numpy((pixels / 255 - mean) / std).float()
    w = {name.removeprefix("vision_model."): value for name, value in state.items()}

    def linear(name, a):
        return a @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(name, a):
        a = a - a.mean(-1, keepdim=True)
        return a / (a.square().mean(-1, keepdim=True) + 1e-5).sqrt() * w[f"{name}.weight"] + w[f"{name}.bias"]

    patches = x.reshape(-1, 2, 14, 2, 14, 3).permute(0, 1, 3, 5, 2, 4).reshape(len(x), 4, -1)
    tokens = patches @ w["embeddings.patch_embedding.weight"].flatten(1).T
    first = w["embeddings.class_embedding"].expand(len(x), 1, -1)
    h = norm("pre_layrnorm", torch.cat([first, tokens], dim=1) + w["embeddings.position_embedding.weight"])
    for layer in ("encoder.layers.0", "encoder.layers.1"):
        a = norm(f"{layer}.layer_norm1", h)
        q, k, v = (linear(f"{layer}.self_attn.{c}_proj", a).reshape(len(x), 5, 3, 8).transpose(1, 2) for c in "qkv")
        mixed = (q @ k.transpose(2, 3) / 8**0.5).softmax(-1) @ v
        h = h + linear(f"{layer}.self_attn.out_proj", mixed.transpose(1, 2).reshape(len(x), 5, 24))
        a = linear(f"{layer}.mlp.fc1", norm(f"{layer}.layer_norm2", h))
        h = h + linear(f"{layer}.mlp.fc2", a * torch.sigmoid(1.702 * a))
    return norm("post_layernorm", h[:, 0]) @ state["visual_projection.weight"].T


def test_embeddings_are_those_of_the_network_written_down(weights):
    extractor = load_extractor("clip", 28, CPU)
    found = extractor.features([IMAGES[:4], IMAGES[4:]], CPU, lambda n: None)
    expected = by_hand(weights, IMAGES).numpy()
    assert found.shape == (6, extractor.dim) and found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
    assert np.abs(found - found.mean(axis=0)).max() > 100 * np.abs(found - expected).max()


def test_the_batch_size_changes_no_bit(weights):
    extractor = load_extractor("clip", 28, CPU)
    whole = extractor.features([IMAGES], CPU, lambda n: None)
    assert np.array_equal(whole, extractor.features([IMAGES[:1], IMAGES[1:4], IMAGES[4:]], CPU, lambda n: None))


def test_cmmd_is_of_the_embeddings_and_needs_those_of_the_reference(weights):
    extractor = load_extractor("clip", 28, CPU)
    x = extractor.features([IMAGES], CPU, lambda n: None)
    unit = torch.from_numpy(np.concatenate([x[:3], x[3:]])).double()
    unit = F.normalize(unit, dim=1)
    k = (-torch.cdist(unit, unit).square() / 200).exp()
    expected = 1000 * (k[:3, :3].mean() + k[3:, 3:].mean() - 2 * k[:3, 3:].mean())
    assert extractor.further(x[:3], x[3:], CPU) == {"CMMD": pytest.approx(expected.item(), rel=1e-6)}
    assert extractor.further(x[:3], None, CPU) == {}
    assert extractor.metric == "FD (CLIP ViT-L/14-336)" and extractor.sha256 == clip.SHA256


def test_images_are_cut_to_their_middle_square():
    wide = np.zeros((1, 4, 9, 3), np.uint8)
    wide[:, :, 2:6] = 200  # (9 - 4) // 2 to the left
    assert (clip.middle_squares(wide, 8) == 200).all()
    assert (clip.middle_squares(wide.transpose(0, 2, 1, 3), 8) == 200).all()


def test_the_published_network_has_the_numbers_of_its_paper():
    """ViT-L/14 at 336 pixels: 304 million parameters that see, 428 million with those that read."""
    import_torchvision()
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    with torch.device("meta"):
        network = CLIPVisionModelWithProjection(CLIPVisionConfig(**clip.SHAPE))
    assert sum(parameter.numel() for parameter in network.parameters()) == 304_293_888
    assert network(pixel_values=torch.zeros(1, 3, 336, 336, device="meta")).image_embeds.shape == (1, 768)


def test_other_weights_are_refused(weights, monkeypatch):
    monkeypatch.setattr(clip, "SHA256", "0" * 64)
    with pytest.raises(UserError, match=r"c6032c2e\.bin has the SHA-256 .*, but that of the CLIP weights is 0000"):
        load_extractor("clip", 28, CPU)


def test_weights_that_are_missing_are_fetched_by_their_digest(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    use_tiny(monkeypatch)
    asked = []

    def no_network(url, path, hash_prefix):
        asked.append((url, path, hash_prefix))
        raise OSError("no network")

    monkeypatch.setattr("torch.hub.download_url_to_file", no_network)
    with pytest.raises(UserError, match=r"could not be fetched \(no network\); put https://.*pytorch_model.bin there"):
        load_extractor("clip", 28, CPU)
    assert asked == [(clip.URL, str(weights_file("clip")), clip.SHA256)]


def test_a_file_of_another_network_is_named(weights, monkeypatch):
    path = weights_file("clip")
    torch.save({"a": torch.zeros(3)}, path)
    monkeypatch.setattr(clip, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(UserError, match="does not hold the weights of a CLIP that sees"):
        load_extractor("clip", 28, CPU)


def test_clip_has_one_resolution():
    with pytest.raises(UserError, match="feature_resolution is 224, but CMMD is defined at 336"):
        load_extractor("clip", 224, CPU)
