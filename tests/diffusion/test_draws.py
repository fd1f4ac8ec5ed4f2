"""Draws depend on (seed, purpose, index) and on nothing else."""

import numpy as np
import pytest
import torch

from dctdiff.diffusion.draws import batch_indices, label_per_image, normal_per_image, normal_streams, seed_from


def test_noise_of_an_image_does_not_depend_on_its_batch():
    torch.manual_seed(0)
    whole = normal_per_image(1, "noise", range(10), (3, 4))
    torch.manual_seed(1)
    parts = torch.cat(
        [normal_per_image(1, "noise", range(4), (3, 4)), normal_per_image(1, "noise", range(4, 10), (3, 4))]
    )
    assert torch.equal(whole, parts)
    assert abs(whole.mean()) < 0.5


def test_streams_go_on_per_image_and_start_like_the_single_draw():
    draw = normal_streams(1, "noise", range(6), (3, 4))
    whole = [draw(), draw()]
    draw_part = normal_streams(1, "noise", [4, 2], (3, 4))
    assert torch.equal(whole[0], normal_per_image(1, "noise", range(6), (3, 4)))
    assert all(torch.equal(draw_part(), both[[4, 2]]) for both in whole)
    assert not torch.isclose(whole[0], whole[1]).any()


def test_noise_of_streams_is_standard_normal_and_independent():
    draw = normal_streams(2, "step noise", range(50), (20, 20))
    first, second = draw(), draw()
    n = first.numel()
    assert abs(first.mean()) < 5 / n**0.5
    assert abs(first.square().mean() - 1) < 5 * (2 / n) ** 0.5
    assert abs((first * second).mean()) < 5 / n**0.5
    assert abs((first[1:] * first[:-1]).mean()) < 5 / n**0.5


def test_labels_have_the_frequencies_of_the_classes():
    """Protocol point 33."""
    counts = (100, 0, 300, 600)
    labels = label_per_image(1, range(4000), counts)
    found = np.bincount(labels, minlength=4)
    assert labels.dtype == np.int64
    assert found[1] == 0
    assert found / 4000 == pytest.approx(np.array(counts) / 1000, abs=0.03)


def test_the_label_of_an_image_depends_on_seed_and_index_only():
    labels = label_per_image(1, range(40), (5, 5, 5))
    assert label_per_image(1, [30, 7], (5, 5, 5)).tolist() == labels[[30, 7]].tolist()
    assert label_per_image(2, range(40), (5, 5, 5)).tolist() != labels.tolist()


def test_seed_purpose_and_index_all_matter():
    seeds = {seed_from(s, p, i) for s in (0, 1) for p in ("crop", "noise") for i in (0, 1)}
    assert len(seeds) == 8


def test_an_epoch_shows_each_image_at_most_once_and_drops_the_rest():
    epoch = np.concatenate([batch_indices(3, step, 4, n_images=10) for step in (0, 1)])
    assert len(set(epoch.tolist())) == 8
    following = np.concatenate([batch_indices(3, step, 4, n_images=10) for step in (2, 3)])
    assert len(set(following.tolist())) == 8
    assert epoch.tolist() != following.tolist()
