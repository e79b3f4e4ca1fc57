"""Evaluation of one network on calibration and validation images: confidence and correctness of every output."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from aebnas_bo.data.splits import Splits
from aebnas_bo.data.transforms import normalize
from aebnas_bo.early_exit.calibrated_output import Calibration
from aebnas_bo.early_exit.calibration import calibration_error, fit_temperature
from aebnas_bo.early_exit.confidence import confidence
from aebnas_bo.early_exit.exit_ensemble import NO_ENSEMBLE, ExitEnsemble, all_paths
from aebnas_bo.early_exit.exit_rule import ExitTable, PathOutput
from aebnas_bo.early_exit.outputs_in_use import paths_to, stacked
from aebnas_bo.errors import EstimationError
from aebnas_bo.estimation.settings import EstimationConfig
from aebnas_bo.supernet.subnet import Subnet


@dataclass(frozen=True, eq=False)
class MeasuringImages:
    """Normalised calibration and validation images.

    Args:
        calibration_images: Images for BatchNorm statistics and temperatures, `N x C x H x W`.
        calibration_labels: Their classes, `N`.
        images: Images for accuracy, `B x C x H x W`.
        labels: Class of each image, `B`.
    """

    calibration_images: Tensor
    calibration_labels: Tensor
    images: Tensor
    labels: Tensor

    @classmethod
    def of(cls, splits: Splits, device: str) -> Self:
        """Return the calibration and validation splits on a device."""
        return cls(
            calibration_images=normalize(splits.calibration.images, splits.mean, splits.std, device=device),
            calibration_labels=splits.calibration.labels.to(device),
            images=normalize(splits.validation.images, splits.mean, splits.std, device=device),
            labels=splits.validation.labels.to(device),
        )


@torch.no_grad()
def measure(
    subnet: Subnet, images: MeasuringImages, *, macs: tuple[int, ...], key: str, config: EstimationConfig
) -> tuple[ExitTable, tuple[Calibration, ...]]:
    """Run a network in evaluation mode over images.

    Args:
        subnet: The network.
        images: Calibration and validation images.
        macs: Cost of leaving at each of its `E` outputs.
        key: The architecture's key, for messages.
        config: Confidence measure, exit rule and batch size.

    Returns:
        The exit table over the `B` images and the calibration of each output; the latter is empty without temperature
        scaling.

    Raises:
        EstimationError: If the network's outputs are not finite.
    """
    outputs = output_logits(subnet, torch.split(images.images, config.batch_size))
    labels, num_classes = images.labels.cpu(), outputs[-1].shape[-1]
    calibrations: tuple[Calibration, ...] = ()
    if config.temperature_scaling:
        temperatures = fit_temperatures(subnet, images, config)
        scaled = [output / temperature for output, temperature in zip(outputs, temperatures, strict=True)]
        errors = [
            [calibration_error(output, labels, name=config.confidence, num_classes=num_classes) for output in some]
            for some in (outputs, scaled)
        ]
        calibrations = tuple(Calibration(*one) for one in zip(temperatures, *errors, strict=True))
        outputs = scaled
    return exit_table(outputs, labels, macs=macs, key=key, config=config), calibrations


def output_logits(subnet: Subnet, batches: Iterable[Tensor]) -> list[Tensor]:
    """Return the logits of each of the `E` outputs over all images, on the CPU.

    Args:
        subnet: The network in evaluation mode.
        batches: Normalised images, each `B x C x H x W`.
    """
    return [torch.cat(parts).cpu() for parts in zip(*map(subnet, batches), strict=True)]


def fit_temperatures(subnet: Subnet, images: MeasuringImages, config: EstimationConfig) -> list[float]:
    """Fit the temperature of each output on the calibration images."""
    held_out = output_logits(subnet, torch.split(images.calibration_images, config.batch_size))
    labels, num_classes = images.calibration_labels.cpu(), held_out[-1].shape[-1]
    return [fit_temperature(output, labels, name=config.confidence, num_classes=num_classes) for output in held_out]


def exit_table(
    outputs: Sequence[Tensor],
    labels: Tensor,
    *,
    macs: tuple[int, ...],
    key: str,
    config: EstimationConfig,
    ensemble: ExitEnsemble = NO_ENSEMBLE,
) -> ExitTable:
    """Return the table of confidence and correctness of every output.

    With an exit ensemble, the probability that an output is correct is that of its prediction by the distribution
    that all outputs predict together.

    Args:
        outputs: Logits of each of the `E` outputs, divided by temperatures if temperature scaling is on.
        labels: The true classes, `B`.
        macs: Cost of leaving at each output.
        key: The architecture's key, for messages.
        config: Confidence measure and exit rule.
        ensemble: Weights by which outputs predict together with the exits before them.

    Raises:
        EstimationError: If a logit is not finite.
    """
    if not all(torch.isfinite(output).all() for output in outputs):
        raise EstimationError(f"network {key} has non-finite outputs")
    num_classes = outputs[-1].shape[-1]

    def judged(logits: Tensor, distribution: Tensor | None = None) -> PathOutput:
        predictions = logits[:, :num_classes].argmax(dim=-1)
        sure = confidence(logits, config.confidence, num_classes)
        probability = None if distribution is None else distribution.gather(1, predictions[:, None])[:, 0]
        return PathOutput(sure, predictions == labels, probability)

    if not ensemble.weights:
        return stacked([judged(output) for output in outputs], macs=macs, rule=config.exit_rule)
    to_each = paths_to(range(len(outputs)))
    distribution = ensemble.logits(outputs, to_each[-1]).double().softmax(dim=-1)
    of_path = {path: judged(ensemble.logits(outputs, path), distribution) for path in all_paths(len(outputs))}
    whole = stacked([of_path[path] for path in to_each], macs=macs, rule=config.exit_rule)
    return replace(whole, of_path=of_path)
