"""Each entry of the registries: its code is there, and does what the others do."""

import inspect
import re

import numpy as np
import pytest
import torch

from dctdiff.diffusion.discrete import N_STEPS
from dctdiff.metrics import clip
from dctdiff.metrics.features import load_extractor, weights_file
from dctdiff.models.batches import GIVEN
from dctdiff.models.config import Autoencoder, ModelConfig
from dctdiff.params.download import Download
from dctdiff.pipeline.errors import UserError
from dctdiff.pipeline.named import At
from dctdiff.registry.extractors import EXTRACTORS
from dctdiff.registry.known import REGISTRIES, check_registries, names_of
from dctdiff.registry.networks import NETWORKS, OPTIMISERS
from dctdiff.registry.samplers import FRAMEWORKS, SAMPLERS, Sampler
from dctdiff.registry.sources import SOURCES
from dctdiff.registry.spaces import SPACES
from dctdiff.stages.download import remote_of
from dctdiff.stages.statistics import channels_of

CPU = torch.device("cpu")


# Sorted: the processes of a parallel run must see one order.
@pytest.mark.parametrize("name", sorted(
    {name for registry in REGISTRIES for entry in registry.values() for name in names_of(entry)}
))  # fmt: skip
def test_the_code_of_each_entry_is_there(name):
    found = At(name).imported()
    assert callable(found) or isinstance(found, str)


@pytest.mark.parametrize("registry", REGISTRIES)
def test_code_is_named_by_an_at(registry):
    """A name that stands as mere text would be seen neither by this nor by the digests."""
    fields = [value for entry in registry.values() if not isinstance(entry, At) for value in vars(entry).values()]
    assert not [value for value in fields if isinstance(value, str) and value.startswith("dctdiff.")]


def test_a_misspelt_name_is_one_line_before_any_job(monkeypatch):
    check_registries()
    wrong = Sampler(label="Heun", continuous=At("dctdiff.diffusion.samplers.heum"))
    monkeypatch.setitem(SAMPLERS, "heun", wrong)
    message = "'heun' in src/dctdiff/registry names dctdiff.diffusion.samplers.heum, which is not there"
    with pytest.raises(UserError, match=re.escape(message)):
        check_registries()
    with pytest.raises(UserError, match=r"dctdiff\.diffusion\.samplers has no heum"):
        wrong.continuous.imported()


def model(space: str, network: str = "uvit", **changes) -> ModelConfig:
    sizes = {"patch_size": 2}
    if SPACES[space].has_blocks:
        sizes = {"block_size": 2, "kept_coefficients": 4, "eta": 240.0}
    if SPACES[space].stored == "latents":
        sizes |= {"autoencoder": Autoencoder(seed=1)}
    return ModelConfig(
        space, resolution=32, embed_dim=16, depth=2, num_heads=2, snr_scale=4.0, network_kind=network, **sizes,
        **changes,
    )  # fmt: skip


def smooth_images(n: int) -> np.ndarray:
    """``(n, 32, 32, 3)`` uint8 whose colours change slowly."""
    ramp = np.linspace(0, 6, 32)[:, None, None] + np.linspace(0, 3, 32)[:, None] + np.arange(3)
    return (127 + 100 * np.sin(ramp + np.arange(n)[:, None, None, None])).astype(np.uint8)


@pytest.mark.parametrize("space", SPACES)
def test_a_space_shows_images_and_brings_them_back(space):
    codec, images = model(space).codec(), torch.from_numpy(smooth_images(3))
    values = codec.encode(images)
    assert values.shape == (3, *codec.shape) and values.dtype == torch.float32
    assert len(codec.shape) == {"tokens": 2, "planes": 3}[SPACES[space].layout]
    back = codec.decode(values)
    assert back.shape == images.shape and back.dtype == torch.uint8
    if SPACES[space].stored == "images":  # an autoencoder of random weights brings nothing back
        assert (back.float() - images.float()).abs().mean() < 6


@pytest.mark.parametrize("space", SPACES)
def test_the_channels_of_a_space_are_those_that_are_counted(space):
    entry, codec = SPACES[space], model(space).codec()
    images = smooth_images(2)
    if entry.stored == "latents":
        images = codec.encode(torch.from_numpy(images)).numpy()
    channels = channels_of(images, space, 2 if entry.has_blocks else None)
    assert list(channels) == list(entry.channels)
    n_values = 4 if entry.has_blocks else 1
    blocks = sum(entry.channels.values())
    assert {values.shape[1] for values in channels.values()} == {n_values}
    assert sum(values.size for values in channels.values()) == 2 * np.prod(codec.shape)
    assert not entry.has_blocks or codec.shape[1] == blocks * n_values
    assert (entry.eta is None) == bool(entry.scaled_by) and set(entry.scaled_by) <= set(entry.channels)
    assert entry.stored in GIVEN


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("layout", ["tokens", "planes"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_gives_what_it_is_given(name, layout, framework):
    entry = NETWORKS[name]
    if getattr(entry, layout) is None or framework not in entry.frameworks:
        pytest.skip("it is not for that")
    space = next(space for space, other in SPACES.items() if other.layout == layout)
    config = model(space, name, framework=framework, class_counts=(5, 5))
    network = config.network()
    network.initialise(torch.Generator().manual_seed(1), 0.0)
    network.gradient_checkpointing = True
    n_given, x = config.diffusion().n_given, torch.randn(3, *config.codec().shape)
    found = network(x, torch.tensor([0.0, 500.0, 999.0]), torch.tensor([0, 1, 1]))
    assert found.shape == ((3, n_given) if n_given > 1 else (3,)) + config.codec().shape
    found.square().sum().backward()
    assert all(weight.grad is not None for weight in network.parameters())
    assert callable(network.attend_with)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_an_optimiser_moves_all_parameters(name):
    from dctdiff.params.train import Run

    network = model("pixel").network()
    run = Run(dataset="d", codec="c", weights="trained", optimizer=name)
    moved = [
        weight
        for optimiser in OPTIMISERS[name].imported()(network, run)
        for group in optimiser.param_groups
        for weight in group["params"]
    ]
    assert {id(weight) for weight in moved} == {id(weight) for weight in network.parameters()}


@pytest.mark.parametrize("name", [name for name in EXTRACTORS if weights_file(name) is None])
def test_an_extractor_gives_finite_features(name):
    entry = EXTRACTORS[name]
    extractor = load_extractor(name, entry.resolution, CPU)
    features = extractor.features([smooth_images(2)], CPU, lambda n: None)
    assert features.shape == (2, extractor.dim) and features.dtype == np.float32 and np.isfinite(features).all()
    assert not np.array_equal(*features)
    assert re.fullmatch("[0-9a-f]{64}", extractor.sha256)


def test_what_is_fetched_has_the_resolution_of_its_metric():
    assert EXTRACTORS["clip"].resolution == clip.SHAPE["image_size"]
    assert all(weights_file(name).name for name, extractor in EXTRACTORS.items() if extractor.weights)


def test_samplers_are_offered_by_a_framework():
    assert all(any(getattr(sampler, name) for name in FRAMEWORKS) for sampler in SAMPLERS.values())
    assert FRAMEWORKS["discrete"].most_nfe == N_STEPS


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_takes_its_addresses_and_reads_as_the_others_do(name):
    source = SOURCES[name]
    given = {"source": name} if source.address is None else {"source": name, "train": source.example, "n_train": 3}
    download = Download.model_validate(given | ({} if source.has_names else {"filename": "photos.zip"}))
    if source.fetch:
        remote = remote_of(download, source.example)
        assert remote.target.name == "photos.zip" and source.example in remote.page
        assert len(inspect.signature(remote.fetch).parameters) == 1
    inspect.signature(source.read.imported()).bind([], None, "download it again", {})
