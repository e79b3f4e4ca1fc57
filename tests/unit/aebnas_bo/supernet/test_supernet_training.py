"""What a step does: which networks, which teachers, which losses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from aebnas_bo.errors import CorruptStateError
from aebnas_bo.space.architecture import Architecture
from aebnas_bo.space.declaration import BranchLayerChoices, ExitChoices, NetworkSpaceDeclaration, StageChoices
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.space.sampling import Extreme, TrainingSampler
from aebnas_bo.supernet.settings import SupernetConfig
from aebnas_bo.supernet.supernet import Supernet
from aebnas_bo.supernet.supernet_training import step_networks, train_supernet
from aebnas_bo.training import network_loss
from aebnas_bo.training import training_loop as loop
from aebnas_bo.training.losses import exit_loss
from aebnas_bo.training.training_loop import EpochReport, Recorder, TrainingData
from tests.device_waits import DeviceWaits

STAGE = StageChoices(widths=(4, 6), depths=(1, 2), kernels=(3,), expansions=(1, 2), stride=2)
LAYER = BranchLayerChoices(kinds=("dense", "depthwise_separable"), expansions=(1, 2))
DECLARATION = NetworkSpaceDeclaration(
    resolutions=(8,),
    stem_channels=4,
    stem_stride=1,
    head_channels=0,
    branch_stride=1,
    activation="relu",
    stages=(STAGE, STAGE),
    exits=(ExitChoices(after_stage=1, depths=(0, 1, 2), layers=(LAYER,)),),
)
SPACE = NetworkSpace(DECLARATION, in_channels=1, num_classes=2)
CONFIG = SupernetConfig(epochs=1, batch_size=16, learning_rate=0.05, warmup_epochs=1.0, random_subnets=1)


def _data(num_images: int = 72) -> TrainingData:
    """Horizontal or vertical stripes, under noise."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(num_images) % 2
    images = 0.5 * torch.randn(num_images, 1, 8, 8, generator=generator)
    images[labels == 0, :, ::2, :] += 1.5
    images[labels == 1, :, :, ::2] += 1.5
    return TrainingData(images, labels, lambda batch, wanted, _: (batch, wanted))


def _train(config: SupernetConfig, on_epoch: Callable[[EpochReport], None] = lambda _: None, images: int = 72):
    supernet = Supernet(DECLARATION, SPACE.skeleton, 0)
    train_supernet(supernet, SPACE, _data(images), config=config, seed=3, recorder=Recorder(on_epoch))
    return supernet


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [{}, {"distillation": False}, {"exit_distillation": True}, {"balanced_branches": False}, {"ema_decay": 0.9},
     {"sandwich": False, "distillation": False}, {"exit_weights": (0.5, 1.0)}, {"precision": "bfloat16"}],
    ids=str,
)  # fmt: skip
def test_training_teaches_every_exit_of_every_network(changes: dict[str, object]) -> None:
    reports: list[EpochReport] = []
    config = CONFIG.model_copy(update={"epochs": 20, **changes})
    supernet = _train(config, reports.append)
    assert reports[-1].loss < 0.6 * reports[0].loss
    data, sampler = _data(), TrainingSampler(SPACE, np.random.default_rng(0), has_balanced_branches=True)
    for kind in ("largest", "smallest", "random"):
        for logits in supernet(data.images, sampler.draw(kind)):
            assert float((logits.argmax(1) == data.labels).float().mean()) > 0.95


def test_each_step_takes_the_largest_the_smallest_and_random_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Extreme] = []
    draw = TrainingSampler.draw

    def spy(self: TrainingSampler, which: Extreme) -> Architecture:
        asked.append(which)
        return draw(self, which)

    monkeypatch.setattr(TrainingSampler, "draw", spy)
    reports: list[EpochReport] = []
    _train(CONFIG.model_copy(update={"random_subnets": 2}), reports.append, images=40)  # 2 batches, 8 images dropped
    assert asked == ["largest", "smallest", "random", "random"] * 2


def test_without_the_sandwich_all_networks_of_a_step_are_random() -> None:
    config = CONFIG.model_copy(update={"sandwich": False, "distillation": False})
    assert step_networks(config) == ("random",) * 3


def _losses_of_a_step(
    monkeypatch: pytest.MonkeyPatch, **changes: object
) -> tuple[list[Sequence[Tensor]], list[Sequence[Tensor]], list[tuple[float, ...]], list[tuple[float, ...]]]:
    """Targets of each network's outputs and of what supervises its backbone, and the weights of both."""
    targets_seen: list[Sequence[Tensor]] = []
    weights_seen: list[tuple[float, ...]] = []

    def spy(outputs, targets, weights, **others):  # type: ignore[no-untyped-def]
        targets_seen.append(list(targets))
        weights_seen.append(tuple(weights))
        return exit_loss(outputs, targets, weights, **others)

    monkeypatch.setattr(network_loss, "exit_loss", spy)
    _train(CONFIG.model_copy(update=changes), images=16)
    return targets_seen[::2], targets_seen[1::2], weights_seen[::2], weights_seen[1::2]


def test_other_networks_learn_from_the_largest_ones_final_exit(monkeypatch: pytest.MonkeyPatch) -> None:
    (largest, *others), (of_largest, *of_others), _, _ = _losses_of_a_step(monkeypatch)
    assert all(target.ndim == 1 for target in (*largest, *of_largest))  # the labels
    teacher = others[0][0]
    assert torch.allclose(teacher.sum(dim=1), torch.ones(16))
    assert not teacher.requires_grad
    assert all(target is teacher for targets in (*others, *of_others) for target in targets)


def test_the_teacher_is_the_final_exit_and_no_earlier_one(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs_seen: list[Sequence[Tensor]] = []
    supervised = Supernet.supervised

    def spy(self: Supernet, images: Tensor, architecture: Architecture) -> tuple[list[Tensor], list[Tensor | None]]:
        outputs, supervision = supervised(self, images, architecture)
        outputs_seen.append([logits.detach() for logits in outputs])
        return outputs, supervision

    monkeypatch.setattr(Supernet, "supervised", spy)
    (_, *others), _, _, _ = _losses_of_a_step(monkeypatch)
    early, final = outputs_seen[0]
    assert torch.equal(others[0][0], final.softmax(dim=1))
    assert not torch.allclose(early, final)


def test_without_distillation_all_networks_learn_the_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    own, supervision, _, _ = _losses_of_a_step(monkeypatch, distillation=False)
    assert all(target.ndim == 1 for targets in (*own, *supervision) for target in targets)


def test_early_exits_learn_from_late_ones_too(monkeypatch: pytest.MonkeyPatch) -> None:
    own, _, _, _ = _losses_of_a_step(monkeypatch, distillation=False, exit_distillation=True)
    for *early, final in own:
        assert final.ndim == 1
        assert all(torch.allclose(target.sum(dim=1), torch.ones(16)) for target in early)


def test_a_branch_that_does_not_train_the_backbone_need_not_share(monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, own, supervision = _losses_of_a_step(monkeypatch, exit_weights=(1.0, 3.0), random_subnets=8)
    assert set(zip(own, supervision, strict=True)) == {
        ((0.5, 1.5), ()),  # a bare classifier was drawn
        ((0.5, 1.5), (0.5,)),
    }


def test_an_exit_of_weight_zero_gets_no_gradient() -> None:
    fresh = Supernet(DECLARATION, SPACE.skeleton, 0).branches[0].state_dict()
    config = CONFIG.model_copy(update={"exit_weights": (0.0, 1.0), "weight_decay": 0.0})
    trained = _train(config).branches[0].state_dict()
    assert all(torch.equal(fresh[name], trained[name]) for name in fresh)


@pytest.mark.slow
def test_checkpoint_of_another_training_is_an_error(tmp_path: Path) -> None:
    path, supernet = tmp_path / "training", Supernet(DECLARATION, SPACE.skeleton, 0)
    mine, theirs = (Recorder(checkpoint=path, fingerprint=name) for name in ("mine", "theirs"))
    train_supernet(supernet, SPACE, _data(), config=CONFIG, seed=3, recorder=mine)
    with pytest.raises(CorruptStateError, match="another space, data set, seed or training"):
        train_supernet(supernet, SPACE, _data(), config=CONFIG, seed=3, recorder=theirs)


@pytest.mark.parametrize("changes", [{}, {"exit_distillation": True}, {"distillation": False}])
def test_steps_read_nothing_from_the_device(monkeypatch, changes: dict[str, object]) -> None:
    """On a GPU, every number that is read waits for all work that is queued there."""
    monkeypatch.setattr(loop, "CHECK_STEPS", {"cpu": 1000})
    config = CONFIG.model_copy(update=changes)

    def waits(images: int) -> int:
        with DeviceWaits() as counted:
            _train(config, images=images)
        return counted.count

    assert waits(32) == waits(128)  # two steps, and eight


def test_a_number_that_is_read_is_counted() -> None:
    with DeviceWaits() as counted:
        float(torch.ones(()))
        bool(torch.ones(()) > 0)
    assert counted.count == 2
