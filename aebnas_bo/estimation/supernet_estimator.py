"""Judging an architecture with shared weights: extract, re-estimate BatchNorm, one pass over the validation split."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor

from aebnas_bo.config import EstimationConfig
from aebnas_bo.early_exit.confidence import confidence
from aebnas_bo.early_exit.policy import ExitTable, evaluate_thresholds
from aebnas_bo.errors import EstimationError
from aebnas_bo.estimation.estimate import Estimate, Measurement
from aebnas_bo.estimation.macs import exit_costs
from aebnas_bo.space.architecture import Architecture
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.space.search_space import Point, SearchSpace
from aebnas_bo.supernet.batchnorm import calibrate_batchnorm
from aebnas_bo.supernet.extraction import extract
from aebnas_bo.supernet.supernet import Supernet

CACHED_TABLES = 512  # at 10,000 images and 5 outputs a table takes 250 kB
CALIBRATION_BATCH = 256
MACS_PER_MILLION = 1e6


class SupernetEstimator:
    """Estimates accuracy and average MACs of any point of a network space.

    A network's table of confidences and right answers is computed once per architecture; other thresholds then cost
    no forward pass.

    Args:
        space: The space of networks.
        supernet: The trained supernet.
        calibration_images: Normalised images for BatchNorm statistics, `C x H x W` each, float32.
        validation_images: Normalised images the accuracy is measured on, `B x C x H x W`.
        validation_labels: Their classes, `B`.
        config: Confidence measure and batch size.
    """

    def __init__(
        self,
        space: NetworkSpace,
        supernet: Supernet,
        calibration_images: Tensor,
        validation_images: Tensor,
        validation_labels: Tensor,
        config: EstimationConfig,
    ) -> None:
        self._space = space
        self._supernet = supernet
        self._calibration_images = calibration_images
        self._images = validation_images
        self._labels = validation_labels
        self._config = config
        self._tables: OrderedDict[str, ExitTable] = OrderedDict()

    @property
    def search_space(self) -> SearchSpace:
        """The flat space whose points are judged."""
        return self._space.search_space

    @property
    def detail_names(self) -> tuple[str, ...]:
        """Exit rates: one per exit position and the final classifier's."""
        exits = range(1, len(self._space.skeleton.exit_stages) + 1)
        return (*(f"exit{number}_rate" for number in exits), "final_rate")

    def estimate(self, point: Point) -> Estimate:
        """Return accuracy (percent), average MACs (millions) and exit rates (shares of images).

        Raises:
            SearchSpaceError: If the point does not belong to the space.
            EstimationError: If the network's outputs are not finite.
        """
        architecture = self._space.architecture(point)
        outcome = evaluate_thresholds(self.exit_table(architecture), self._space.thresholds(point))
        rates = dict.fromkeys(self.detail_names, 0.0)
        names = [*(f"exit{position + 1}_rate" for position in architecture.active_exits), "final_rate"]
        rates.update(zip(names, outcome.exit_rates, strict=True))
        return Estimate(
            key=architecture.key,
            metrics={
                "accuracy": Measurement(outcome.accuracy, outcome.accuracy_sem),
                "average_macs": Measurement(
                    outcome.average_macs / MACS_PER_MILLION, outcome.average_macs_sem / MACS_PER_MILLION
                ),
            },
            details=rates,
        )

    def exit_table(self, architecture: Architecture) -> ExitTable:
        """Return the network's table over the validation split, computed on first use.

        Raises:
            EstimationError: If the network's outputs are not finite.
        """
        table = self._tables.get(architecture.key)
        if table is None:
            table = self._tables[architecture.key] = self._measure(architecture)
            if len(self._tables) > CACHED_TABLES:
                self._tables.popitem(last=False)
        return table

    @torch.no_grad()
    def _measure(self, architecture: Architecture) -> ExitTable:
        subnet = extract(self._supernet, architecture)
        calibrate_batchnorm(subnet, self._calibration_images, CALIBRATION_BATCH)
        confidences, hits = [], []
        size = self._config.batch_size
        for images, labels in zip(torch.split(self._images, size), torch.split(self._labels, size), strict=True):
            outputs = subnet(images)
            confidences.append(torch.stack([confidence(logits, self._config.confidence) for logits in outputs]))
            hits.append(torch.stack([logits.argmax(dim=-1) == labels for logits in outputs]))
        confidence_table = torch.cat(confidences, dim=1).cpu()
        if not torch.isfinite(confidence_table).all():
            raise EstimationError(f"network {architecture.key} has non-finite outputs")
        costs = exit_costs(architecture, self._space.skeleton)
        return ExitTable(confidence_table, torch.cat(hits, dim=1).cpu(), costs.cumulative)
