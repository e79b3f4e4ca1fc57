"""Estimates against really running images, one by one, through networks that stop early and count what they execute."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from aebnas_bo.config.loading import load_config
from aebnas_bo.data.datasets import load_splits
from aebnas_bo.early_exit.confidence import confidence
from aebnas_bo.estimation.measuring import MeasuringImages
from aebnas_bo.estimation.supernet_estimator import SharedWeights, SupernetEstimator
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.supernet.subnet import Subnet, resize
from aebnas_bo.supernet.supernet import Supernet

pytestmark = pytest.mark.slow

IMAGES, POINTS = 12, 13  # 52 networks over all rules
RULES = [("score_margin", "each"), ("max_softmax", "each"), ("negative_entropy", "each"), ("learned", "cumulative")]


def run_one(subnet: Subnet, image: torch.Tensor, thresholds: list[float], measure: str, rule: str) -> tuple[int, int]:
    """Return the class and the MACs of one image; what lies behind its exit is never executed."""
    with FlopCounterMode(display=False) as counter:
        features, doubt, waiting = subnet.stem(resize(image, subnet.resolution)), 1.0, list(thresholds)
        for position, stage in enumerate(subnet.stages):
            features = stage(features)
            if str(position) not in subnet.branches:
                continue
            logits = subnet.branches[str(position)](features)
            sure = confidence(logits, measure, 10).item()
            doubt *= 1.0 - sure
            if (sure if rule == "each" else 1.0 - doubt) >= waiting.pop(0):
                break
        else:
            logits = subnet.head(features)
    return int(logits[0, :10].argmax()), counter.get_total_flops() // 2


@torch.no_grad()
@pytest.mark.parametrize(("measure", "rule"), RULES)
def test_accuracy_and_average_macs_are_those_of_running_images_one_by_one(measure: str, rule: str) -> None:
    learned = ["space.learned_confidence=true", "supernet.joint_loss={}", "supernet.distillation=false"]
    config = load_config(None, [*learned, f"estimation.confidence={measure}", f"estimation.exit_rule={rule}"])
    splits = load_splits(config.data)
    space = NetworkSpace(config.space, splits.in_channels, splits.num_classes)
    whole = MeasuringImages.of(splits, "cpu")
    images = replace(whole, images=whole.images[:IMAGES], labels=whole.labels[:IMAGES])
    estimator = SupernetEstimator(
        space, SharedWeights(Supernet(config.space, space.skeleton, 0)), images, config=config.estimation
    )
    generator = np.random.default_rng(7)
    seen = set()
    for _ in range(POINTS):
        point = space.search_space.sample(generator)
        # Untrained networks are unsure; thresholds at what occurs make images leave everywhere.
        table = estimator.exit_table(space.architecture(point))
        thresholds = [float(row[generator.integers(IMAGES)]) + 1e-4 for row in table.certainty[:-1]]
        names = [f"exit{position + 1}_threshold" for position in space.architecture(point).active_exits]
        point = {**point, **{name: min(value, 1.0) for name, value in zip(names, thresholds, strict=True)}}
        estimate = estimator.estimate(point)
        subnet = estimator.network(space.architecture(point))
        run = [run_one(subnet, image[None], list(space.thresholds(point)), measure, rule) for image in images.images]
        right = sum(answer == label for (answer, _), label in zip(run, images.labels.tolist(), strict=True))
        assert estimate.metrics["accuracy"].mean == pytest.approx(100.0 * right / IMAGES)
        assert estimate.metrics["average_macs"].mean == pytest.approx(sum(macs for _, macs in run) / IMAGES / 1e6)
        seen.update(macs for _, macs in run)
    assert len(seen) > POINTS  # several exits were taken
