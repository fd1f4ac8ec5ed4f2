"""Published weights: the authors' state dicts, read and written.

Their training code saves ``nnet.state_dict()`` and ``nnet_ema.state_dict()`` with ``torch.save``
(protocol point 27): a dict of float32 tensors whose names and shapes are those of our networks
(points 29 to 31). So nothing is renamed or converted here; everything is checked.
"""

import collections
import re
import warnings
import zipfile
from pathlib import Path

import torch

from dctdiff.models.config import ModelConfig
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.files import existing_file, replacing, sha256

AUTHORS = "https://github.com/forever208/DCTdiff"
WRAPPERS = re.compile(r"^(module\.|_orig_mod\.)+")  # what DistributedDataParallel and torch.compile put before names
BEFORE_ZIP = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # the magic number of that format, pickled
N_NAMED = 3  # tensors in a message
AGAIN = "download it again"
STATE_DICTS = "take nnet_ema.pth or nnet.pth of a checkpoint"
# The order in which their network registers its parts.
PARTS = ("pos_embed", "proj", "patch_embed", "label_emb", "in_blocks", "mid_block", "out_blocks", "norm",
         "decoder_pred", "final_layer")  # fmt: skip


def check_file(path: str | Path, expected_sha256: str | None, shown: str | None = None, remedy: str = AGAIN) -> str:
    """The SHA-256 of a file that ``torch.save`` wrote and whose digest is the expected one.

    ``shown`` is what to call it, ``remedy`` what to do about another one.
    """
    path, shown = Path(path), shown or str(path)
    if not path.is_file():
        raise UserError(
            f"{path} does not exist; download this file of {AUTHORS} (the README links it) and put it there"
        )
    with open(path, "rb") as file:
        head = file.read(512)
    start = head.lstrip().lower()
    if start.startswith((b"<!doctype", b"<html")):
        raise UserError(
            f"{shown} is a web page, not weights (Google Drive sends one when its quota is exceeded); {remedy}"
        )
    if head.startswith(BEFORE_ZIP):
        raise UserError(
            f"{shown} is in the format of torch before 1.6, whose size cannot be checked before it is read; if you "
            "trust it, save it anew in Python, torch.save(torch.load(<file>, weights_only=True), <new file>), and name "
            "the new one in release.file"
        )
    if not zipfile.is_zipfile(path):
        raise UserError(f"{shown} is incomplete or not a file of torch.save; {remedy}")
    return _check_digest(path, expected_sha256, shown, remedy)


def check_own_file(path: str | Path, expected_sha256: str | None, shown: str | None = None, remedy: str = AGAIN) -> str:
    """The same of a model of this project, whose content ``dctdiff.models.weights`` checks."""
    return _check_digest(existing_file(path), expected_sha256, shown or str(path), remedy)


def _check_digest(path: Path, expected_sha256: str | None, shown: str, remedy: str) -> str:
    found = sha256(path)
    if expected_sha256 is None:
        raise UserError(
            f"release.sha256 is missing; {path} has the SHA-256 {found}: "
            "if you trust this file, write that into params.yaml"
        )
    if found != expected_sha256:
        raise UserError(
            f"{shown} has the SHA-256 {found}, but release.sha256 is {expected_sha256}; {remedy}, or correct the "
            "digest if you trust this file"
        )
    return found


def read_state_dict(path: str | Path) -> dict[str, torch.Tensor]:
    """Name -> float32 tensor, finite. Code that a pickle may hold is never run.

    Names lose the prefixes of wrappers. What would take more memory than the file has bytes is refused first.
    """
    _check_size(path)
    try:
        with warnings.catch_warnings(action="ignore"):  # torch's words on odd pickles
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # broken pickles raise anything
        raise UserError(f"{path} {_refusal(error)}") from None
    if not isinstance(content, dict) or not content:
        raise UserError(f"{path} holds {_kind(content)}, but a dict of tensors is expected; {STATE_DICTS}")
    for name, tensor in content.items():
        if not isinstance(name, str):
            raise UserError(f"{path} has the key {name!r}, but names of tensors are expected; {STATE_DICTS}")
        if not isinstance(tensor, torch.Tensor):
            raise UserError(f"{path}: {name!r} is {_kind(tensor)}, but a tensor is expected; {STATE_DICTS}")
        if tensor.dtype != torch.float32 or tensor.layout != torch.strided or tensor.is_meta:
            found = f"{tensor.layout} {tensor.dtype} on {tensor.device}".replace("torch.", "")
            raise UserError(f"{path}: {name!r} is {found}, but the authors save strided float32; take their file")
        if tensor.numel() * tensor.itemsize > tensor.untyped_storage().nbytes():
            raise UserError(f"{path}: {name!r} says it is larger than what is stored of it; take another file")
        if not torch.isfinite(tensor).all():
            raise UserError(f"{path}: {name!r} has values that are not finite; take another checkpoint")
    names = {name: WRAPPERS.sub("", name) for name in content}
    if twice := [name for name, own in names.items() if own != name and list(names.values()).count(own) > 1]:
        raise UserError(
            f"{path} has {_first_of(twice)} beside another tensor of the same name without module. and _orig_mod.; "
            f"{STATE_DICTS}"
        )
    return {names[name]: tensor.detach().clone() for name, tensor in content.items()}  # safetensors shares no memory


def _check_size(path: str | Path) -> None:
    """torch.save does not compress, so no part of its file comes out larger than the file."""
    try:
        with zipfile.ZipFile(path) as archive:
            declared = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return  # torch says what is wrong with it
    if declared > Path(path).stat().st_size:
        raise UserError(
            f"{path} would unpack to {declared / 1e9:.3g} GB, more than the file has, which torch.save never does; "
            "do not use it: take another file"
        )


def check_weights(path: str | Path, weights: dict[str, torch.Tensor], config: ModelConfig) -> None:
    """Names and shapes must be those of the network of ``config``, all of them (points 29 to 32)."""
    with torch.device("meta"):
        expected = {name: tuple(tensor.shape) for name, tensor in config.network().state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    problems = []
    if lacking := [name for name in expected if name not in found]:
        problems.append(f"lacks {_first_of(lacking)}")
    if unknown := [name for name in found if name not in expected]:
        problems.append(f"has the unknown {_first_of(unknown)}")
    wrong = [
        f"{name} of the shape {found[name]} instead of {shape}"
        for name, shape in expected.items()
        if found.get(name, shape) != shape
    ]
    if wrong:
        problems.append(f"has {_first_of(wrong)}")
    if problems:
        raise UserError(f"{path} does not fit the run: it {' and '.join(problems)}; {_remedy(found, config)}")


def write_state_dict(path: str | Path, weights: dict[str, torch.Tensor]) -> None:
    """Write float32 ``weights`` as the authors' code does, in its order, atomically."""
    rank = {part: index for index, part in enumerate(PARTS)}
    names = sorted(weights, key=lambda name: rank[name.partition(".")[0]])  # stable: blocks keep their order
    state_dict = collections.OrderedDict((name, weights[name].detach().float().cpu().contiguous()) for name in names)
    with replacing(path) as temporary, open(temporary, "wb") as file:
        torch.save(state_dict, file)  # given a path, it would write that path's name into the file


def _refusal(error: Exception) -> str:
    """Why torch did not load a file, and the remedy. Torch's own advice is to run the code."""
    wanted = re.search(r"GLOBAL (\S+)", str(error))
    if wanted:
        return (
            f"asks to run {wanted[1]!r} when it is loaded, which weights never need; it was not run: take another file"
        )
    return f"is damaged or holds more than tensors ({type(error).__name__}); download it again"


def _kind(value) -> str:
    if isinstance(value, dict):
        return "an empty dict" if not value else "a dict"
    return f"a value of type {type(value).__name__}"


def _first_of(names: list[str]) -> str:
    more = "" if len(names) <= N_NAMED else f" and {len(names) - N_NAMED} more"
    return ", ".join(names[:N_NAMED]) + more


def _remedy(found: dict[str, tuple[int, ...]], config: ModelConfig) -> str:
    """Which key of the run differs from what the file seems to be, if any."""
    blocks = {name.split(".")[1] for name in found if name.startswith("in_blocks.")}
    seen = {
        "embed_dim": found.get("norm.weight", (config.embed_dim,))[0],
        "depth": 2 * len(blocks),
        "num_classes": found["label_emb.weight"][0] if "label_emb.weight" in found else None,
    }
    for key, value in seen.items():
        expected = getattr(config, key)
        if value != expected:
            return f"its {key} seems to be {value}, that of the run is {expected}: correct the run or take another file"
    return "take the file of this model, or correct the run and its release"
