"""Muon: against PyTorch's own, and against the singular value decomposition."""

import pytest
import torch

from dctdiff.models.config import ModelConfig
from dctdiff.models.muon import RMS_OF_ADAMW, Muon, orthogonal
from dctdiff.models.optimiser import all_by_adamw, blocks_by_muon, learning_rate, make_recordable, set_learning_rate
from models.test_execution import RUN

SHAPES = [(8, 8), (32, 8), (8, 32), (8, 16), (8, 8)]
CPU = torch.device("cpu")


def weights(shapes=SHAPES):
    generator = torch.Generator().manual_seed(0)
    return [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]


def moved(optimiser, parameters, n_steps=4, lr=None):
    """The parameters after some steps on gradients that depend on nothing but the step."""
    generator = torch.Generator().manual_seed(1)
    for _ in range(n_steps):
        for parameter in parameters:
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        optimiser.step()
    return [parameter.detach().clone() for parameter in parameters]


def test_singular_values_come_near_one_and_vectors_stay():
    matrices = torch.randn(3, 8, 32, generator=torch.Generator().manual_seed(2))
    found = orthogonal(matrices).float()
    assert torch.linalg.svdvals(found).sub(1).abs().max() < 0.35
    left, _, right = torch.linalg.svd(matrices, full_matrices=False)
    inside = left.mT @ found @ right.mT  # diagonal if the vectors are those of the matrices
    assert (inside - torch.diag_embed(inside.diagonal(dim1=1, dim2=2))).abs().max() < 0.05


@pytest.mark.parametrize("recorded", [False, True])
def test_steps_are_those_of_pytorch(recorded):
    """One matrix after the other there, all of one shape at once here."""
    ours, theirs = weights(), weights()
    muon = Muon([{"params": ours}], lr=0.02, weight_decay=0.1)
    make_recordable(muon, recorded, CPU)
    other = torch.optim.Muon(theirs, lr=0.02, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    for mine, expected, start in zip(moved(muon, ours), moved(other, theirs), weights(), strict=True):
        assert (mine - expected).norm() < 0.02 * (expected - start).norm()  # theirs rounds to bfloat16


def test_parts_of_a_parameter_are_matrices_of_their_own():
    stacked, single = weights([(24, 8)]), [torch.nn.Parameter(part) for part in weights([(24, 8)])[0].detach().chunk(3)]
    whole = moved(Muon([{"params": stacked, "parts": 3}], lr=0.02, weight_decay=0.1), stacked)
    apart = moved(Muon([{"params": single}], lr=0.02, weight_decay=0.1), single)
    assert torch.allclose(whole[0], torch.cat(apart), atol=1e-6)


def test_a_step_that_fp16_skips_changes_nothing_and_its_scale_neither():
    plain, scaled = weights(), weights()
    expected = moved(Muon([{"params": plain}], lr=0.02, weight_decay=0.1), plain, n_steps=1)
    muon = Muon([{"params": scaled}], lr=0.02, weight_decay=0.1)
    muon.found_inf, muon.grad_scale = torch.tensor(1.0), torch.tensor(1.0)
    for parameter in scaled:
        parameter.grad = torch.full(parameter.shape, torch.inf)
    muon.step()
    assert all(torch.equal(a, b) for a, b in zip(scaled, weights(), strict=True))
    muon.found_inf, muon.grad_scale = torch.tensor(0.0), torch.tensor(64.0)
    generator = torch.Generator().manual_seed(1)
    for parameter in scaled:
        parameter.grad = 64 * torch.randn(parameter.shape, generator=generator)
    muon.step()
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(scaled, expected, strict=True))


@pytest.mark.parametrize("space", ["dct", "pixel"])
def test_every_parameter_has_one_optimiser_and_only_matrices_of_blocks_have_muon(space):
    size = {"block_size": 2, "kept_coefficients": 4, "eta": 240.0} if space == "dct" else {"patch_size": 2}
    config = ModelConfig(
        space=space, resolution=8, embed_dim=16, depth=2, num_heads=1, snr_scale=4.0, class_counts=(1, 1), **size
    )
    network = config.network()
    [everything] = all_by_adamw(network, RUN)
    assert {id(p) for p in everything.param_groups[0]["params"]} == {id(p) for p in network.parameters()}
    adamw, muon = blocks_by_muon(network, RUN)
    stacked, single = muon.param_groups
    groups = [adamw.param_groups[0]["params"], stacked["params"], single["params"]]
    assert sorted(id(p) for group in groups for p in group) == sorted(id(p) for p in network.parameters())
    by_id = {id(parameter): name for name, parameter in network.named_parameters()}
    assert {by_id[id(p)].split(".", 2)[-1] for p in stacked["params"]} <= {"attn.qkv.weight", "qkv.weight"}
    assert len(stacked["params"]) == 3 and len(single["params"]) == 3 * 3 + 1  # proj, fc1, fc2; one skip_linear
    assert stacked["parts"] == 3 and single["parts"] == 1


def test_the_step_is_as_large_as_one_of_adamw():
    parameters = weights()
    muon = Muon([{"params": parameters}], lr=1.0, weight_decay=0.0)
    for after, before in zip(moved(muon, parameters, n_steps=1), weights(), strict=True):
        assert (after - before).square().mean().sqrt().item() == pytest.approx(RMS_OF_ADAMW, rel=0.25)


def test_the_learning_rate_of_the_run_moves_both():
    network = torch.nn.Module()
    network.block = torch.nn.Linear(8, 8)
    run = RUN.model_copy(update={"warmup_steps": 4, "lr": 0.5})
    both = blocks_by_muon(network, run)
    for optimiser in both:
        set_learning_rate(optimiser, learning_rate(run, 2))
    assert {group["lr"] for optimiser in both for group in optimiser.param_groups} == {0.25}
