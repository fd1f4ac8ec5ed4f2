"""Published weights: in and out bit for bit, the same network, and every broken file in one line."""

import collections
import hashlib
import io
import json
import os
import sys
import zipfile

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dctdiff.commands import export
from dctdiff.data.archive import encode_jpeg, write_archive
from dctdiff.models import release
from dctdiff.models.weights import load_model
from dctdiff.networks.uvit import time_embedding
from dctdiff.pipeline.errors import UserError
from dctdiff.stages import weights_published
from engines import call

DIM, DEPTH, HEADS, CLASSES = 12, 4, 3, 3
DCT = {"resolution": 8, "block_size": 2, "kept_coefficients": 3, "eta": 242.382}
PIXEL = {"resolution": 8, "patch_size": 4}
RUN = {
    "dataset": "d", "codec": "c", "embed_dim": DIM, "depth": DEPTH, "num_heads": HEADS, "snr_scale": 4.0,
    "train_steps": 9, "batch_size": 256, "lr": 0.1, "weight_decay": 0.0, "betas": [0.9, 0.9], "warmup_steps": 0,
    "ema_rate": 0.9, "seed": 1, "log_steps": 1,
}  # fmt: skip
KINDS = [(DCT, None), (DCT, CLASSES), (PIXEL, None), (PIXEL, CLASSES)]
KIND_NAMES = ["dct", "dct with classes", "pixel", "pixel with classes"]


def shapes(codec: dict, num_classes: int | None) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a release, written down from protocol points 29 to 31, in the authors' order."""
    if codec is DCT:
        n_tokens, token_dim = 4, 6 * 3
        entry = {"proj.weight": (DIM, token_dim), "proj.bias": (DIM,)}
    else:
        n_tokens, token_dim = 4, 4 * 4 * 3
        entry = {"patch_embed.proj.weight": (DIM, 3, 4, 4), "patch_embed.proj.bias": (DIM,)}
    block = {
        "norm1.weight": (DIM,), "norm1.bias": (DIM,),
        "attn.qkv.weight": (3 * DIM, DIM), "attn.proj.weight": (DIM, DIM), "attn.proj.bias": (DIM,),
        "norm2.weight": (DIM,), "norm2.bias": (DIM,),
        "mlp.fc1.weight": (4 * DIM, DIM), "mlp.fc1.bias": (4 * DIM,),
        "mlp.fc2.weight": (DIM, 4 * DIM), "mlp.fc2.bias": (DIM,),
    }  # fmt: skip
    skip = {"skip_linear.weight": (DIM, 2 * DIM), "skip_linear.bias": (DIM,)}
    result = {"pos_embed": (1, n_tokens + (2 if num_classes else 1), DIM), **entry}
    if num_classes:
        result["label_emb.weight"] = (num_classes, DIM)
    sides = {f"in_blocks.{i}": block for i in range(DEPTH // 2)} | {"mid_block": block}
    sides |= {f"out_blocks.{i}": block | skip for i in range(DEPTH // 2)}
    result |= {f"{prefix}.{name}": shape for prefix, parts in sides.items() for name, shape in parts.items()}
    result |= {"norm.weight": (DIM,), "norm.bias": (DIM,)}
    result |= {"decoder_pred.weight": (token_dim, DIM), "decoder_pred.bias": (token_dim,)}
    if codec is PIXEL:
        result |= {"final_layer.weight": (3, 3, 3, 3), "final_layer.bias": (3,)}
    return result


def state_dict(codec: dict = DCT, num_classes: int | None = None) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    names = shapes(codec, num_classes).items()
    return collections.OrderedDict((name, 0.3 * torch.randn(shape, generator=generator)) for name, shape in names)


def noise_of(w: dict[str, torch.Tensor], x: torch.Tensor, t: torch.Tensor, y: torch.Tensor | None) -> torch.Tensor:
    """The network again, from its words in the protocol and in float64: tokens label, time, patches."""
    w = {name: tensor.double() for name, tensor in w.items()}

    def linear(name, h):
        return h @ w[f"{name}.weight"].T + w.get(f"{name}.bias", torch.zeros(1).double())

    def norm(name, h):
        h = (h - h.mean(-1, keepdim=True)) / torch.sqrt(h.var(-1, unbiased=False, keepdim=True) + 1e-5)
        return h * w[f"{name}.weight"] + w[f"{name}.bias"]

    def attention(name, h):
        heads = []
        q, k, v = linear(f"{name}.qkv", h).chunk(3, dim=-1)
        side = DIM // HEADS
        for i in range(HEADS):
            one = slice(i * side, (i + 1) * side)
            scores = q[..., one] @ k[..., one].mT / side**0.5
            heads.append(scores.softmax(-1) @ v[..., one])
        return linear(f"{name}.proj", torch.cat(heads, dim=-1))

    def block(name, h):
        h = h + attention(f"{name}.attn", norm(f"{name}.norm1", h))
        inner = linear(f"{name}.mlp.fc1", norm(f"{name}.norm2", h))
        return h + linear(f"{name}.mlp.fc2", inner * 0.5 * (1 + torch.erf(inner / 2**0.5)))

    x = x.double()
    if "proj.weight" in w:
        tokens = linear("proj", x)
    else:  # patches in raster order, each as channel, row, column
        patches = x.unflatten(2, (2, 4)).unflatten(4, (2, 4)).permute(0, 2, 4, 1, 3, 5).reshape(len(x), 4, 48)
        tokens = patches @ w["patch_embed.proj.weight"].flatten(1).T + w["patch_embed.proj.bias"]
    frequencies = torch.tensor([10000.0 ** (-i / (DIM // 2)) for i in range(DIM // 2)], dtype=torch.float64)
    angles = t.double()[:, None] * frequencies
    h = torch.cat([torch.cat([angles.cos(), angles.sin()], dim=-1)[:, None], tokens], dim=1)
    if y is not None:
        h = torch.cat([w["label_emb.weight"][y][:, None], h], dim=1)
    h = h + w["pos_embed"]
    skips = []
    for i in range(DEPTH // 2):
        h = block(f"in_blocks.{i}", h)
        skips.append(h)
    h = block("mid_block", h)
    for i in range(DEPTH // 2):
        h = linear(f"out_blocks.{i}.skip_linear", torch.cat([h, skips.pop()], dim=-1))
        h = block(f"out_blocks.{i}", h)
    h = linear("decoder_pred", norm("norm", h))[:, -4:]
    if "proj.weight" in w:
        return h
    image = h.reshape(len(x), 2, 2, 4, 4, 3).permute(0, 5, 1, 3, 2, 4).reshape(len(x), 3, 8, 8)  # row, column, channel
    return F.conv2d(image, w["final_layer.weight"], w["final_layer.bias"], padding=1)


def sha256_of(path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def importer(tmp_path, monkeypatch):
    """Runs the stage on a state dict (or the bytes of a file) and gives the folder of its outputs."""
    monkeypatch.chdir(tmp_path)

    def stage(content, codec=DCT, digest=None, **changes):
        if isinstance(content, bytes):
            (tmp_path / "release.pth").write_bytes(content)
        elif content is not None:
            torch.save(content, tmp_path / "release.pth")
        if digest is None:
            digest = sha256_of(tmp_path / "release.pth") if content is not None else "0" * 64
        release = {"file": "release.pth", "sha256": digest, "train_steps": 175_000, **codec}
        release |= {key[9:]: changes.pop(key) for key in list(changes) if key.startswith("release__")}
        run = {**RUN, "weights": "published", **changes}
        run |= {f"release.{key}": value for key, value in release.items()}
        words = ["weights_published", "--images", "train.zip", "--pixels", "absent.npy", "--latents", "absent",
                 "--statistics", "absent.json"]  # fmt: skip
        for key, value in run.items():
            if value is not None:
                words += [f"--{key}", *map(str, value if isinstance(value, list) else [value])]
        words += ["--out_weights", "out/last.safetensors", "--out_checkpoints", "out/checkpoints"]
        monkeypatch.setattr(sys, "argv", [*words, "--out_log", "out/log.jsonl"])
        call(weights_published)
        return tmp_path / "out"

    return stage


def write_images(folder, names: list[str]) -> None:
    image = encode_jpeg(np.zeros((8, 8, 3), dtype=np.uint8), 95)
    write_archive(folder / "train.zip", ((name, image) for name in names), {})


IMAGE_NAMES = ["a_1.jpg", "b_1.jpg", "b_2.jpg", "c_1.jpg"]


@pytest.mark.parametrize(("codec", "num_classes"), KINDS, ids=KIND_NAMES)
def test_a_state_dict_comes_back_bit_for_bit(importer, tmp_path, monkeypatch, codec, num_classes):
    write_images(tmp_path, IMAGE_NAMES)
    weights = state_dict(codec, num_classes)
    weights["norm.bias"][:3] = torch.tensor([-0.0, 1e-45, 3.4e38])  # bits that arithmetic would lose
    folder = importer(weights, codec, num_classes=num_classes)
    monkeypatch.setattr(sys, "argv", ["export", "--weights", "out/last.safetensors", "--out_state_dict", "back.pth"])
    call(export)
    back = torch.load("back.pth", weights_only=True)
    assert type(back) is collections.OrderedDict and list(back) == list(weights)
    for name, tensor in weights.items():
        assert back[name].dtype == torch.float32
        assert torch.equal(back[name].view(torch.int32), tensor.view(torch.int32)), name
    first = (tmp_path / "back.pth").read_bytes()
    call(export)
    assert (tmp_path / "back.pth").read_bytes() == first
    assert (folder / "checkpoints/000175000.safetensors").read_bytes() == (folder / "last.safetensors").read_bytes()


@pytest.mark.parametrize(("codec", "num_classes"), KINDS, ids=KIND_NAMES)
def test_the_network_is_that_of_the_protocol(importer, tmp_path, codec, num_classes):
    write_images(tmp_path, IMAGE_NAMES)
    weights = state_dict(codec, num_classes)
    folder = importer(weights, codec, num_classes=num_classes)
    network, config = load_model(folder / "last.safetensors", torch.device("cpu"))
    assert (config.eta, config.snr_scale) == (codec.get("eta"), 4.0)
    assert config.class_counts == ((1, 2, 1) if num_classes else None)
    x = torch.randn(4, *config.codec().shape, generator=torch.Generator().manual_seed(1))
    t = torch.tensor([0.0, 0.7, 3.0, 9.0])  # the sinus of large float32 angles is another matter: below
    y = torch.tensor([2, 0, 1, 2]) if num_classes else None
    with torch.inference_mode():
        difference = (network(x, t, y) - noise_of(weights, x, t, y)).abs().max()
    assert difference < 1e-5


@pytest.mark.parametrize("dim", [512, 768, 1024])
def test_time_is_embedded_with_the_rounding_of_the_authors(dim):
    """A float32 frequency that is off by one bit changes the embedding of t = 999 by 6e-5."""
    half = dim // 2
    exponents = np.float32(-np.log(10000)) * np.arange(half, dtype=np.float32) / np.float32(half)
    angles = torch.linspace(0, 999, 50)[:, None] * torch.from_numpy(exponents).exp()
    expected = torch.cat([angles.cos(), angles.sin()], dim=-1)
    assert torch.equal(time_embedding(torch.linspace(0, 999, 50), dim), expected)


def test_an_unconditional_release_needs_neither_images_nor_statistics(importer):
    folder = importer(state_dict())
    line = json.loads((folder / "log.jsonl").read_text())
    digest = sha256_of(folder.parent / "release.pth")
    assert line == {
        "step": 175_000, "images": 175_000 * 256, "loss": None, "source": "published weights", "sha256": digest,
    }  # fmt: skip


def test_unknown_steps_are_not_made_up(importer):
    folder = importer(state_dict(), release__train_steps=None)
    line = json.loads((folder / "log.jsonl").read_text())
    assert line["step"] is None and line["images"] is None
    assert [path.name for path in folder.glob("checkpoints/*")] == ["000000000.safetensors"]


def test_the_checkpoints_of_an_earlier_run_are_gone(importer, tmp_path):
    (tmp_path / "out/checkpoints").mkdir(parents=True)
    (tmp_path / "out/checkpoints/000000005.safetensors").write_text("old")
    folder = importer(state_dict())
    assert [path.name for path in folder.glob("checkpoints/*")] == ["000175000.safetensors"]


class Harmful:
    def __reduce__(self):
        return os.mkdir, ("harmed",)


def saved(content) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def zip_of_images() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.jpg", "image")
    return buffer.getvalue()


def damaged_pickle() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(saved(state_dict()))) as source, zipfile.ZipFile(buffer, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            target.writestr(name, content[:40] + b"\xff" + content[41:] if name.endswith("data.pkl") else content)
    return buffer.getvalue()


def changed(**changes) -> dict[str, torch.Tensor]:
    weights = state_dict()
    for name, tensor in changes.items():
        weights[name.replace("__", ".")] = tensor
    return weights


def without(*names: str) -> dict[str, torch.Tensor]:
    return collections.OrderedDict((name, tensor) for name, tensor in state_dict().items() if name not in names)


FAULTS = {
    "absent": (None, "release.pth does not exist; download"),
    "web page": (b"\n<!DOCTYPE html><html>Google Drive - Quota exceeded</html>", "release.pth is a web page"),
    "empty": (b"", "release.pth is incomplete"),
    "truncated": (saved(state_dict())[:-30], "release.pth is incomplete"),
    "other zip": (zip_of_images(), "release.pth is damaged or holds more than tensors"),
    "damaged": (damaged_pickle(), "release.pth is damaged or holds more than tensors"),
    "harmful": (
        saved({**state_dict(), "extra": Harmful()}),
        "asks to run 'posix.mkdir' when it is loaded, which weights",
    ),
    "whole network": (saved({"net": torch.nn.Linear(2, 2)}), "asks to run 'torch.nn.modules.linear.Linear'"),
    "step.pth": (saved(175_000), "holds a value of type int, but a dict of tensors is expected"),
    "optimizer.pth": (saved({"state": {}, "param_groups": []}), "'state' is an empty dict, but a tensor is expected"),
    "nothing": (saved({}), "holds an empty dict, but a dict of tensors is expected"),
    "missing key": (saved(without("norm.bias")), "it lacks norm.bias; take the file"),
    "extra key": (saved(changed(time_embed__0__weight=torch.ones(2))), "it has the unknown time_embed.0.weight; take"),
    "other space": (
        saved(state_dict(PIXEL)),
        "it lacks proj.weight, proj.bias and has the unknown patch_embed.proj.weight, patch_embed.proj.bias, "
        "final_layer.weight and 1 more and has decoder_pred.weight of the shape",
    ),
    "other depth": (
        saved(without(*(name for name in shapes(DCT, None) if name.startswith(("in_blocks.1", "out_blocks.1"))))),
        "its depth seems to be 2, that of the run is 4",
    ),
    "classes": (
        saved(state_dict(DCT, CLASSES)),
        "has the unknown label_emb.weight and has pos_embed of the shape (1, 6, 12) instead of (1, 5, 12); "
        "its num_classes seems to be 3, that of the run is None",
    ),
    "wrong shape": (
        saved(changed(pos_embed=torch.zeros(1, 6, DIM))),
        "has pos_embed of the shape (1, 6, 12) instead of (1, 5, 12); take",
    ),
    "wrong shapes": (
        saved({name: tensor[..., None] for name, tensor in state_dict().items()}),
        "has pos_embed of the shape (1, 5, 12, 1) instead of (1, 5, 12), in_blocks.0.norm1.weight of the shape "
        "(12, 1) instead of (12,), in_blocks.0.norm1.bias of the shape (12, 1) instead of (12,) and 63 more; take",
    ),
    "equal names": (
        saved(changed(**{"module__norm__bias": torch.ones(DIM), "_orig_mod__norm__bias": torch.ones(DIM)})),
        "has module.norm.bias, _orig_mod.norm.bias beside another tensor of the same name without module.",
    ),
    "half": (saved(changed(norm__bias=torch.zeros(DIM).half())), "'norm.bias' is strided float16 on cpu, but"),
    "integers": (saved(changed(norm__bias=torch.zeros(DIM).long())), "'norm.bias' is strided int64 on cpu, but"),
    "sparse": (
        saved(changed(norm__bias=torch.zeros(DIM).to_sparse())),
        "'norm.bias' is sparse_coo float32 on cpu, but",
    ),
    "no values": (
        saved(changed(norm__bias=torch.zeros(DIM, device="meta"))),
        "'norm.bias' is strided float32 on meta, but",
    ),
    "not finite": (saved(changed(norm__bias=torch.full((DIM,), torch.nan))), "'norm.bias' has values that are not"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_release_ends_in_one_line_and_leaves_nothing(importer, tmp_path, recwarn, fault):
    content, message = FAULTS[fault]
    with pytest.raises(UserError) as caught:
        importer(content)
    assert message in str(caught.value) and str(caught.value).startswith("release.pth")
    assert "\n" not in str(caught.value) and "weights_only" not in str(caught.value)
    assert {path.name for path in tmp_path.iterdir()} <= {"release.pth"}
    assert not recwarn.list


def test_another_digest_is_refused_before_the_file_is_opened(importer, monkeypatch):
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("opened"))
    with pytest.raises(UserError, match=r"release.pth has the SHA-256 .* but release.sha256 is 1{64}; download it"):
        importer(state_dict(), digest="1" * 64)


def test_a_missing_digest_is_told(importer, tmp_path):
    with pytest.raises(UserError) as caught:
        importer(state_dict(), release__sha256=None)
    assert f"release.pth has the SHA-256 {sha256_of(tmp_path / 'release.pth')}: if you trust" in str(caught.value)


def test_weights_that_share_memory_are_taken_apart(importer):
    """Safetensors would refuse them."""
    weights = state_dict()
    weights["norm.weight"] = weights["norm.bias"]
    network, _ = load_model(importer(weights) / "last.safetensors", torch.device("cpu"))
    assert torch.equal(network.norm.weight, network.norm.bias)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": "trained"}, "weights is trained, but this stage imports; run dctdiff.stages.weights_trained"),
        ({"release__eta": None}, "--release: give block_size, kept_coefficients and eta"),
        ({"release__patch_size": 4}, "patch_size (pixels) does not go with block_size"),
        ({"release__kept_coefficients": 5}, "kept_coefficients is 5, but should be at most 4, block_size squared"),
        ({"release__resolution": 10}, "the resolution 10 is not divisible by 2 * block_size = 4"),
        ({"release__sha256": "abc"}, "--release.sha256 is 'abc', but should be 64 hexadecimal digits"),
        ({"release__file": None}, "--release: give either file (a path) or url and sha256 (fetched)"),
        ({"release__url": "https://a.org/b.pth"}, "--release: give either file (a path) or url and sha256 (fetched)"),
        ({"release__file": None, "release__url": "a.org/b.pth"}, "url is 'a.org/b.pth', but should be a URL that ends"),
        (
            {"release__file": None, "release__url": "https://a.org/b.pth", "release__sha256": None},
            "--release: url needs sha256, to check what is fetched",
        ),
    ],
)
def test_a_wrong_run_is_refused(importer, changes, message):
    with pytest.raises(UserError) as caught:
        importer(state_dict(), **changes)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_images_of_other_classes_are_refused(importer, tmp_path):
    write_images(tmp_path, ["a_1.jpg", "b_1.jpg"])
    with pytest.raises(UserError, match=r"train.zip has 2 classes, but num_classes is 3; correct one of them"):
        importer(state_dict(DCT, CLASSES), num_classes=CLASSES)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_prefixes_of_wrappers_are_read(tmp_path, prefix):
    expected = state_dict()
    torch.save({prefix + name: tensor for name, tensor in expected.items()}, tmp_path / "release.pth")
    found = release.read_state_dict(tmp_path / "release.pth")
    assert found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in expected)


def test_prefixes_of_some_names_are_read(tmp_path):
    """Parts of a network may be wrapped alone; a name within keeps what only looks like a prefix."""
    expected = {**state_dict(), "norm.module.weight": torch.ones(1)}
    prefixes = ["", "module.", "_orig_mod.", "module.module."]
    wrapped = {prefixes[i % 4] + name: tensor for i, (name, tensor) in enumerate(expected.items())}
    torch.save(wrapped, tmp_path / "release.pth")
    found = release.read_state_dict(tmp_path / "release.pth")
    assert list(found) == list(expected) and all(torch.equal(found[name], expected[name]) for name in expected)


def test_small_files_that_would_take_gigabytes_are_refused_first(tmp_path):
    torch.save({"a": torch.zeros(1).expand(4 * 10**12)}, tmp_path / "expanded.pth")  # 16 TB
    with pytest.raises(UserError, match=r"expanded\.pth: 'a' says it is larger than what is stored"):
        release.read_state_dict(tmp_path / "expanded.pth")
    with zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb/data/0", bytes(10**6))
    with pytest.raises(UserError, match=r"bomb\.pth would unpack to 0\.001 GB, more than the file"):
        release.read_state_dict(tmp_path / "bomb.pth")


def test_the_old_format_says_how_to_save_it_anew(tmp_path):
    torch.save(state_dict(), tmp_path / "release.pth", _use_new_zipfile_serialization=False)
    with pytest.raises(UserError, match=r"release\.pth is in the format of torch before 1\.6.* save it anew"):
        release.check_file(tmp_path / "release.pth", None)


def test_keys_that_are_no_names_are_refused(tmp_path):
    torch.save({1: torch.zeros(1)}, tmp_path / "release.pth")
    with pytest.raises(UserError, match="has the key 1, but names"):
        release.read_state_dict(tmp_path / "release.pth")
