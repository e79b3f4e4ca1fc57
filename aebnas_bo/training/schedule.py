"""The learning rate over time."""

from __future__ import annotations

import math

from aebnas_bo.training.settings import TrainingConfig

MOST_WARMUP = 0.2  # maximum fraction of all epochs, which limits the warm-up of short trainings
FIRST_STEP = 1e-2  # epochs; gives the first step a positive learning rate


def learning_rate(epoch: float, config: TrainingConfig) -> float:
    """Return the rate of linear warm-up, then a half cosine to zero (SGDR, Loshchilov and Hutter 2017, one period).

    Args:
        epoch: Epochs done, fractions included.
        config: Peak, length of the warm-up and of training.
    """
    warmup = min(config.warmup_epochs, MOST_WARMUP * config.epochs)
    if epoch < warmup:
        return config.learning_rate * (epoch + FIRST_STEP) / warmup
    share = (epoch - warmup) / (config.epochs - warmup)
    return config.learning_rate * 0.5 * (1.0 + math.cos(math.pi * share))
