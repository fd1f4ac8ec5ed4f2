"""Execution: precision, attention backend, compilation, checkpointing and accumulation change rounding only."""

import dataclasses
import functools

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState

from dctdiff.diffusion.draws import torch_generator
from dctdiff.models import execution, training
from dctdiff.models.config import ModelConfig
from dctdiff.models.execution import RecordedGraph, compiles, precision, prepared_for_sampling
from dctdiff.models.optimiser import make_recordable, set_learning_rate
from dctdiff.models.sampling import sample_images
from dctdiff.networks import attention
from dctdiff.networks.uvit import gelu_linear
from dctdiff.params.execution import Execution
from dctdiff.params.train import Run
from dctdiff.pipeline.errors import UserError

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
CPU = torch.device("cpu")
CONFIG = ModelConfig(
    space="dct", resolution=8, block_size=2, kept_coefficients=4, eta=240.0,
    embed_dim=64, depth=2, num_heads=1, snr_scale=4.0, class_counts=(10, 10),
)  # fmt: skip
IMAGES = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
LABELS = np.arange(20) % 2
RUN = Run(
    dataset="d", codec="c", weights="trained", embed_dim=64, depth=2, num_heads=1, snr_scale=4.0, train_steps=8,
    batch_size=8, lr=1e-3, weight_decay=0.01, betas=[0.9, 0.99], warmup_steps=3, ema_rate=0.9, seed=5, log_steps=4,
    num_classes=2, mixed_precision="float32", compile="never",
)  # fmt: skip
MODELS = {"uvit": {}, "dit": {"network": "dit", "framework": "discrete"}}


def config_of(run):
    return dataclasses.replace(CONFIG, network_kind=run.network, framework=run.framework)


def trained(folder, **changes):
    run = RUN.model_copy(update=changes)
    ema, _ = training.train(run, config_of(run), [1.0] * 24, IMAGES, LABELS, folder, lambda: False)
    return torch.cat([weights.flatten().cpu() for weights in ema.values()])


def sampled(sampler="dpm_solver", model=(), **keys):
    """Three images in batches of two."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    config, generator = config_of(RUN.model_copy(update=dict(model))), torch.Generator().manual_seed(0)
    network = config.network()
    network.initialise(generator)
    for weight in network.parameters():  # a DiT begins as nothing
        if not weight.any():
            torch.nn.init.normal_(weight, std=0.02, generator=generator)
    batches = sample_images(network.to(device), config, sampler, 5, 1, range(3), 2, Execution(**keys))
    return np.concatenate([images for _, images in batches]).astype(int)


@pytest.fixture
def traced(monkeypatch):
    """torch.compile without its code generator, which needs a C++ compiler; a graph break is an error."""
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager", fullgraph=True))


@pytest.fixture(autouse=True)
def any_precision():
    """Accelerate keeps the precision of a process, in which a stage trains once."""
    yield
    AcceleratorState._reset_state()


def close(a, b, tolerance):
    return (a - b).abs().max() <= tolerance


def distance(a, b, model=()):
    """Of two ends of a run, relative to how far the second has come from the start."""
    network = config_of(RUN.model_copy(update=dict(model))).network()
    network.initialise(torch_generator(RUN.seed, "weights", 0))
    start = torch.cat([weights.flatten() for weights in network.state_dict().values()])
    return ((a - b).norm() / (b - start).norm()).item()


@pytest.mark.parametrize(
    "changes",
    [{"attention": "math"}, {"gradient_checkpointing": True}, {"accumulation_steps": 2}, {"accumulation_steps": 8}],
    ids=str,
)
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_the_way_of_execution_does_not_change_the_training(tmp_path, changes, model):
    assert close(trained(tmp_path / "changed", **changes, **model), trained(tmp_path / "plain", **model), 1e-5)


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_the_network_is_one_graph_for_the_compiler(tmp_path, traced, model):
    compiled = trained(tmp_path / "compiled", compile="always", gradient_checkpointing=True, **model)
    assert close(compiled, trained(tmp_path / "plain", **model), 1e-5)
    # Three images in batches of two: the last batch is filled up, which must not touch the streams of noise.
    for sampler in ("ddim", "ddpm") if model else ("dpm_solver", "ddpm"):
        images = [sampled(sampler, model, compile=compile) for compile in ("always", "never")]
        assert np.array_equal(*images)


def test_a_run_goes_on_when_its_execution_changes(tmp_path):
    trained(tmp_path / "run", train_steps=4)
    changed = trained(tmp_path / "run", attention="math", accumulation_steps=4, gradient_checkpointing=True)
    assert close(changed, trained(tmp_path / "plain"), 1e-5)


def test_bf16_and_float32_train_alike_but_not_the_same(tmp_path):
    exact = trained(tmp_path / "float32")
    AcceleratorState._reset_state()
    assert 0 < distance(trained(tmp_path / "bf16", mixed_precision="bf16"), exact) < 0.2


def test_blocks_hand_on_the_precision_they_compute_in():
    network = CONFIG.network()
    seen = []
    for block in network.modules():
        if type(block).__name__ == "Block":
            block.register_forward_hook(lambda block, inputs, output: seen.append(output.dtype))
    inputs = torch.zeros(1, *CONFIG.codec().shape), torch.zeros(1), torch.zeros(1, dtype=torch.int64)
    prepared_for_sampling(network, Execution(mixed_precision="bf16"))(*inputs)
    assert set(seen) == {torch.bfloat16}
    seen.clear()
    predicted = prepared_for_sampling(network, Execution())(*inputs)
    assert set(seen) == {torch.float32} and predicted.dtype == torch.float32


def test_without_a_gpu_the_default_is_exact():
    assert precision(Execution(), CPU) == "float32"
    assert not compiles(Execution(), CPU)
    assert not compiles(Execution(mixed_precision="bf16"), CPU)
    assert compiles(Execution(compile="always"), CPU)


@pytest.mark.parametrize(("computes_in_bf16", "expected"), [(True, "bf16"), (False, "float32")])
def test_a_gpu_samples_in_what_it_trained_in(monkeypatch, computes_in_bf16, expected):
    """Weights trained in bf16 may not fit into fp16, so auto is never fp16."""
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: computes_in_bf16)
    gpu = torch.device("cuda")
    run = RUN.model_copy(update={"mixed_precision": "auto"})
    assert precision(Execution(), gpu) == precision(run, gpu) == expected
    assert precision(Execution(mixed_precision="fp16"), gpu) == "fp16"


def test_fp16_without_a_gpu_is_an_error():
    """It would be float32 under another name."""
    with pytest.raises(UserError, match="mixed_precision is fp16, but there is no GPU here; set float32, bf16 or auto"):
        precision(Execution(mixed_precision="fp16"), CPU)


@pytest.mark.parametrize("n_tokens", [1, 5, 65])
def test_backends_agree_with_the_definition(n_tokens):
    q, k, v = torch.randn(3, 2, n_tokens, 3, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for head in range(3):
        weights = torch.exp(q[0, :, head] @ k[0, :, head].T / 8**0.5)
        expected = weights / weights.sum(dim=1, keepdim=True) @ v[0, :, head]
        for name in ("sdpa", "math"):
            assert close(attention.backend(name, CPU, torch.float64)(q, k, v)[0, :, head], expected, 1e-12)


def test_xformers_without_a_gpu_is_an_error_that_says_what_to_do():
    with pytest.raises(UserError, match="attention is xformers, but there is no GPU here; set attention: sdpa"):
        attention.backend("xformers", CPU, torch.bfloat16)


@GPU
def test_a_recorded_function_is_replayed_with_new_inputs():
    calls = []

    def double(x):
        calls.append(x)
        return 2 * x

    recorded = RecordedGraph(double)
    for value in range(8):
        x = torch.full((3,), float(value), device="cuda")
        assert recorded(x).tolist() == [2.0 * value] * 3
    assert len(calls) == execution.WARM_UP_CALLS + 1


@GPU
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize(
    "changes", [{}, {"gradient_checkpointing": True}, {"accumulation_steps": 2}, {"optimizer": "muon"}], ids=str
)
def test_a_compiled_and_recorded_run_ends_near_a_plain_one(tmp_path, changes, model):
    changes = changes | model
    optimizer = changes.get("optimizer", "adamw")
    plain = trained(tmp_path / "plain", mixed_precision="bf16", train_steps=12, optimizer=optimizer, **model)
    fast = trained(tmp_path / "fast", mixed_precision="bf16", train_steps=12, compile="always", **changes)
    assert distance(fast, plain, model) < 0.2
    # From a recorded run to a plain one and back.
    for train_steps, compile in ((5, "always"), (8, "never"), (12, "always")):
        resumed = trained(
            tmp_path / "resumed", mixed_precision="bf16", train_steps=train_steps, compile=compile, **changes
        )
    assert distance(resumed, plain, model) < 0.2


@GPU
@pytest.mark.parametrize(
    ("arithmetic", "compile"),
    [("float32", "never"), ("bf16", "never"), ("fp16", "never"), ("bf16", "always"), ("fp16", "always")],
)
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_a_run_in_pieces_ends_bit_for_bit_like_a_straight_one(tmp_path, arithmetic, compile, model):
    """With attention: math; fused kernels may add up gradients in an order of chance, as does compiled float32."""
    same = {"mixed_precision": arithmetic, "compile": compile, "attention": "math", **model}
    straight = trained(tmp_path / "straight", train_steps=12, **same)
    for train_steps in (3, 8, 12):
        pieces = trained(tmp_path / "pieces", train_steps=train_steps, **same)
    assert torch.equal(pieces, straight)


@GPU
def test_a_recorded_prediction_follows_all_its_inputs():
    network = CONFIG.network()
    network.initialise(torch.Generator().manual_seed(0))
    network.cuda()
    recorded = prepared_for_sampling(network, Execution(mixed_precision="bf16", compile="always"))
    generator = torch.Generator().manual_seed(1)
    for number in range(8):
        x = torch.randn(2, *CONFIG.codec().shape, generator=generator).cuda()
        t, y = torch.full((2,), 120.0 * number).cuda(), torch.tensor([0, number % 2]).cuda()
        with torch.inference_mode():
            expected = network(x, t, y)
            assert (recorded(x, t, y) - expected).norm() < 0.03 * expected.norm()


@GPU
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_compiled_and_recorded_samples_are_near_the_plain_ones(model):
    sampler = "ddpm" if model else "dpm_solver"
    difference = np.abs(sampled(sampler, model) - sampled(sampler, model, mixed_precision="float32", compile="never"))
    assert difference.mean() < 2.0  # grey levels


@GPU
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_fp16_trains_compiled_like_plain(tmp_path, model):
    same = {"mixed_precision": "fp16", "train_steps": 12, **model}
    plain = trained(tmp_path / "plain", **same)
    assert distance(trained(tmp_path / "fast", compile="always", **same), plain, model) < 0.2


@GPU
def test_xformers_gives_the_loss_of_sdpa():
    pytest.importorskip("xformers.ops", reason="needs xformers")
    device = torch.device("cuda")
    q, k, v = (torch.randn(4, 65, 3, 64, device=device, dtype=torch.bfloat16, requires_grad=True) for _ in range(3))
    losses, gradients = [], []
    for name in ("sdpa", "xformers"):
        loss = attention.backend(name, device, torch.bfloat16)(q, k, v).float().square().mean()
        losses.append(loss.item())
        gradients.append(torch.autograd.grad(loss, q)[0].float())
    assert abs(losses[0] / losses[1] - 1) < 1e-3
    assert (gradients[0] - gradients[1]).norm() < 1e-2 * gradients[0].norm()


def test_the_learning_rate_of_a_recorded_step_is_read_from_a_tensor():
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.AdamW([weight], lr=1.0, fused=True)
    (group,) = optimizer.param_groups
    make_recordable(optimizer, True, CPU)
    tensor = group["lr"]
    set_learning_rate(optimizer, 0.25)
    assert group["lr"] is tensor and tensor.item() == 0.25 and group["capturable"]
    make_recordable(optimizer, False, CPU)
    set_learning_rate(optimizer, 0.5)
    assert group["lr"] == 0.5 and isinstance(group["lr"], float) and not group["capturable"]


def test_gelu_as_one_kernel_is_within_the_rounding_of_bf16():
    layer = torch.nn.Linear(16, 32)
    x = torch.randn(3, 5, 16, generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.gelu(layer(x))
    with torch.no_grad():
        assert (gelu_linear(x, layer, torch.bfloat16).float() - expected).norm() < 0.01 * expected.norm()


def test_samples_that_are_not_finite_are_an_error():
    network = CONFIG.network()
    network.initialise(torch.Generator().manual_seed(0))
    with torch.no_grad():
        network.decoder_pred.bias[3] = torch.inf
    with pytest.raises(UserError, match="samples are not finite in float32; train again with a lower lr"):
        list(sample_images(network, CONFIG, "ddim", 2, 1, range(2), 2))
    with pytest.raises(UserError, match="samples are not finite in bf16; use mixed_precision float32"):
        list(sample_images(network, CONFIG, "ddim", 2, 1, range(2), 2, Execution(mixed_precision="bf16")))
