"""Inception Score: how sure a classifier is of each image, and how many classes it sees (Salimans et al. 2016,
arXiv 1606.03498)."""

import math

import numpy as np
import torch

PART = 5000  # images that make one score


def inception_score(features: np.ndarray, classes: np.ndarray, device: torch.device) -> float:
    """Mean of the scores of each 5,000 images in order, as in ADM's evaluator; from 1 to the number of classes.

    ``features``: (N, D), ``classes``: (K, D), the last layer of the network without its bias. Float64.
    """
    x, weights = (torch.from_numpy(a).to(device, torch.float64) for a in (features, classes))
    scores = [_score((rows @ weights.T).log_softmax(dim=1)) for rows in x.split(PART)]
    return sum(scores) / len(scores)


def _score(log_p: torch.Tensor) -> float:
    """exp of the mean Kullback-Leibler divergence of each row of (n, K) log probabilities from their mean."""
    log_mean = log_p.logsumexp(dim=0) - math.log(len(log_p))
    return (log_p.exp() * (log_p - log_mean)).sum(dim=1).mean().exp().item()
