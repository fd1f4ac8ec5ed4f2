"""The loss by hand."""

import pytest
import torch

from dctdiff.diffusion.loss import PredictionLoss
from dctdiff.diffusion.schedule import Schedule


def test_each_value_has_its_weight():
    """Protocol point 22: the mean over images, tokens and values of weight * error^2."""
    eps = torch.tensor([[[1.0, 2.0, 3.0]], [[0.0, -1.0, 4.0]]])  # two images of one token of three values
    weights = torch.tensor([1.5, 1.0, 0.5])
    loss = PredictionLoss(Schedule(4.0), "noise", weights)
    value = loss(lambda x, t, y: torch.zeros_like(x), torch.zeros_like(eps), eps, torch.tensor([0.3, 0.6]))
    assert value.item() == pytest.approx((1.5 * 1 + 1.0 * 4 + 0.5 * 9 + 1.5 * 0 + 1.0 * 1 + 0.5 * 16) / 6)


def test_the_network_is_given_999_t():
    """Protocol point 19."""
    seen = []
    network = lambda x, t, y: seen.append(t) or x  # noqa: E731
    PredictionLoss(Schedule(1.0), "noise", torch.ones(()))(
        network, torch.zeros(2, 3), torch.ones(2, 3), torch.tensor([0.0, 0.5])
    )
    assert seen[0].tolist() == [0.0, 499.5]
