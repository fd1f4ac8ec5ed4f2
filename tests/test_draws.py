"""Draws depend on (seed, purpose, index) and on nothing else."""

import numpy as np
import torch

from dctdiff.draws import batch_indices, normal_per_image, seed_from


def test_noise_of_an_image_does_not_depend_on_its_batch():
    torch.manual_seed(0)
    whole = normal_per_image(1, "noise", range(10), (3, 4))
    torch.manual_seed(1)
    parts = torch.cat(
        [normal_per_image(1, "noise", range(4), (3, 4)), normal_per_image(1, "noise", range(4, 10), (3, 4))]
    )
    assert torch.equal(whole, parts)
    assert abs(whole.mean()) < 0.5


def test_seed_purpose_and_index_all_matter():
    seeds = {seed_from(s, p, i) for s in (0, 1) for p in ("crop", "noise") for i in (0, 1)}
    assert len(seeds) == 8


def test_an_epoch_shows_each_image_at_most_once_and_drops_the_rest():
    epoch = np.concatenate([batch_indices(3, step, 4, n_images=10) for step in (0, 1)])
    assert len(set(epoch.tolist())) == 8
    following = np.concatenate([batch_indices(3, step, 4, n_images=10) for step in (2, 3)])
    assert len(set(following.tolist())) == 8
    assert epoch.tolist() != following.tolist()
