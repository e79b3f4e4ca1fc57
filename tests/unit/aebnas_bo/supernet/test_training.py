"""Training: it learns, resumes to the bit, and survives a non-finite loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from aebnas_bo.config import SupernetConfig
from aebnas_bo.errors import CorruptStateError, TrainingDivergedError
from aebnas_bo.seeding import numpy_generator, torch_generator
from aebnas_bo.space.architecture import Architecture
from aebnas_bo.space.declaration import BranchLayerChoices, ExitChoices, NetworkSpaceDeclaration, StageChoices
from aebnas_bo.space.network_space import Extreme, NetworkSpace
from aebnas_bo.supernet import training
from aebnas_bo.supernet.checkpoint import load_tensors, save_supernet
from aebnas_bo.supernet.supernet import Supernet
from aebnas_bo.supernet.training import EpochReport, TrainingTask, train_supernet

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
CONFIG = SupernetConfig(epochs=4, batch_size=16, learning_rate=0.1, warmup_epochs=1.0, random_subnets=1)


def _toy_task(num_images: int = 72) -> TrainingTask:
    """Horizontal or vertical stripes, under noise."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(num_images) % 2
    images = 0.5 * torch.randn(num_images, 1, 8, 8, generator=generator)
    images[labels == 0, :, ::2, :] += 1.5
    images[labels == 1, :, :, ::2] += 1.5
    return TrainingTask(images, labels, SPACE.training_architecture, _jitter, seed=3)


def _jitter(images: Tensor, generator: torch.Generator) -> Tensor:
    return images + 0.01 * torch.randn(images.shape, generator=generator)


def _train(
    task: TrainingTask,
    config: SupernetConfig = CONFIG,
    path: Path | None = None,
    on_epoch: Callable[[EpochReport], None] = lambda _: None,
    seed: int = 0,
) -> Supernet:
    supernet = Supernet(DECLARATION, SPACE.skeleton, seed)
    train_supernet(supernet, task, config, on_epoch, path, "mine")
    return supernet


def _equal(one: Supernet, other: Supernet) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


class _StoppedError(Exception):
    pass


def _stop_after(epoch: int) -> Callable[[EpochReport], None]:
    def stop(report: EpochReport) -> None:
        if report.epoch == epoch:
            raise _StoppedError

    return stop


class _SpoiltImages:
    """Spoils the batches of the given numbers, counted over everything it ever sees."""

    def __init__(self, *numbers: int) -> None:
        self.numbers = numbers
        self.num_seen = 0

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        self.num_seen += 1
        return images * torch.nan if self.num_seen - 1 in self.numbers else _jitter(images, generator)


@pytest.mark.parametrize("distillation", [True, False])
def test_training_teaches_every_exit_of_every_network(distillation: bool) -> None:
    reports: list[EpochReport] = []
    task = _toy_task()
    config = CONFIG.model_copy(update={"epochs": 20, "distillation": distillation})
    supernet = _train(task, config, on_epoch=reports.append)
    assert reports[-1].loss < 0.5 * reports[0].loss
    for kind in ("largest", "smallest", "random"):
        architecture = SPACE.training_architecture(kind, np.random.default_rng(0))
        for logits in supernet(task.images, architecture):
            assert float((logits.argmax(1) == task.labels).float().mean()) > 0.95


def test_training_reports_every_epoch() -> None:
    reports: list[EpochReport] = []
    _train(_toy_task(), on_epoch=reports.append)
    assert [report.epoch for report in reports] == [1, 2, 3, 4]
    assert {report.epochs for report in reports} == {4}
    assert {report.rollbacks for report in reports} == {0}
    assert all(report.images_per_s > 0 for report in reports)
    assert reports[1].learning_rate > reports[2].learning_rate > reports[3].learning_rate > 0


def test_training_is_a_function_of_its_seed() -> None:
    task = _toy_task()
    first = _train(task)
    assert _equal(first, _train(task))
    assert not _equal(first, _train(replace(task, seed=4)))


def test_training_does_not_depend_on_the_global_generator() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        first = _train(_toy_task())
        torch.manual_seed(6)
        assert _equal(first, _train(_toy_task()))


def test_each_step_takes_the_largest_the_smallest_and_random_networks() -> None:
    asked: list[Extreme] = []

    def sample(which: Extreme, generator: np.random.Generator) -> Architecture:
        asked.append(which)
        return SPACE.training_architecture(which, generator)

    config = CONFIG.model_copy(update={"epochs": 1, "random_subnets": 2})
    _train(replace(_toy_task(40), sample_architecture=sample), config)  # 2 full batches, 8 images dropped
    assert asked == ["largest", "smallest", "random", "random"] * 2


def test_every_epoch_shuffles_and_draws_anew() -> None:
    batches: list[Tensor] = []
    drawn: list[str] = []

    def augment(images: Tensor, _: torch.Generator) -> Tensor:
        batches.append(images)
        return images

    def sample(which: Extreme, generator: np.random.Generator) -> Architecture:
        architecture = SPACE.training_architecture(which, generator)
        if which == "random":
            drawn.append(architecture.key)
        return architecture

    task = replace(_toy_task(), augment=augment, sample_architecture=sample)
    _train(task, CONFIG.model_copy(update={"epochs": 2}))  # 4 batches an epoch
    assert not torch.equal(batches[0], batches[4])
    assert drawn[:4] != drawn[4:]


def test_split_smaller_than_a_batch_is_one_batch() -> None:
    seen: list[int] = []

    def augment(images: Tensor, _: torch.Generator) -> Tensor:
        seen.append(len(images))
        return images

    _train(replace(_toy_task(10), augment=augment), CONFIG.model_copy(update={"epochs": 2}))
    assert seen == [10, 10]


def test_resumed_training_ends_with_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    task, path, epochs = _toy_task(), tmp_path / "training", []
    uninterrupted = _train(task)
    for epoch in (1, 3):
        with pytest.raises(_StoppedError):
            _train(task, path=path, on_epoch=_stop_after(epoch), seed=epoch)
        assert load_tensors(path, "mine")[1]["epoch"] == str(epoch)
    resumed = _train(task, path=path, on_epoch=lambda report: epochs.append(report.epoch), seed=9)
    assert _equal(uninterrupted, resumed) is False  # the weights of seed 1 went on
    assert epochs == [4]

    path.unlink()
    with pytest.raises(_StoppedError):
        _train(task, path=path, on_epoch=_stop_after(2))
    assert _equal(uninterrupted, _train(task, path=path, seed=9))


def test_finished_training_is_not_repeated(tmp_path: Path) -> None:
    task, path = _toy_task(), tmp_path / "training"
    finished = _train(task, path=path)
    assert _equal(finished, _train(task, path=path, on_epoch=_stop_after(1), seed=9))


def test_checkpoint_is_not_written_after_every_short_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 1e9)
    path, existed = tmp_path / "training", []
    _train(_toy_task(), path=path, on_epoch=lambda _: existed.append(path.exists()))
    assert existed == [False, False, False, True]


def test_non_finite_loss_rolls_back_and_halves_the_learning_rate() -> None:
    task, reports, reference = _toy_task(), list[EpochReport](), list[EpochReport]()
    _train(task, on_epoch=reference.append)
    spoilt = replace(task, augment=_SpoiltImages(5))  # 4 batches an epoch: the second of epoch 2
    supernet = _train(spoilt, on_epoch=reports.append)
    assert [report.rollbacks for report in reports] == [0, 1, 1, 1]
    assert reports[0].loss == reference[0].loss
    assert reports[1].learning_rate == pytest.approx(reference[1].learning_rate / 2)
    assert all(torch.isfinite(parameter).all() for parameter in supernet.parameters())


def test_roll_back_restores_weights_and_momentum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "ROLLBACK_FACTOR", 1.0)
    names: list[tuple[str | int, ...]] = []

    def without_rollbacks(seed: int, *name: str | int) -> torch.Generator:
        names.append(name)
        return torch_generator(seed, *name[:3], "rollback", 0, *name[5:])

    monkeypatch.setattr(training, "torch_generator", without_rollbacks)
    monkeypatch.setattr(
        training,
        "numpy_generator",
        lambda seed, *name: numpy_generator(seed, *name[:3], "rollback", 0, *name[5:]),
    )
    task = _toy_task()
    undisturbed = _train(task)
    names.clear()
    rolled_back = _train(replace(task, augment=_SpoiltImages(6)))
    assert _equal(undisturbed, rolled_back)
    assert [name[4] for name in names] == [0, 0, 1, 1, 1]  # the stream does vary by the count


def test_resume_after_a_roll_back_keeps_its_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    task, path = _toy_task(), tmp_path / "training"
    uninterrupted = _train(replace(task, augment=_SpoiltImages(5)))
    with pytest.raises(_StoppedError):
        _train(replace(task, augment=_SpoiltImages(5)), path=path, on_epoch=_stop_after(2))
    assert load_tensors(path, "mine")[1]["rollbacks"] == "1"
    assert _equal(uninterrupted, _train(task, path=path, seed=9))


def test_endless_divergence_is_an_error_that_says_what_to_do() -> None:
    task = replace(_toy_task(), augment=_SpoiltImages(*range(4, 1000)))
    with pytest.raises(TrainingDivergedError) as caught:
        _train(task, CONFIG.model_copy(update={"max_rollbacks": 2}))
    message = str(caught.value)
    assert "epoch 2" in message
    assert "2 roll-backs" in message
    assert "learning rate of 0.025" in message
    assert "lower supernet.learning_rate" in message


def test_damaged_checkpoint_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "training"
    _train(_toy_task(), path=path)
    damaged = bytearray(path.read_bytes())
    damaged[-10] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(CorruptStateError, match="does not match its own hash"):
        _train(_toy_task(), path=path)


def test_foreign_checkpoint_is_an_error(tmp_path: Path) -> None:
    path, supernet = tmp_path / "training", Supernet(DECLARATION, SPACE.skeleton, 0)
    _train(_toy_task(), path=path)
    with pytest.raises(CorruptStateError, match="another space, data set, seed or training"):
        train_supernet(supernet, _toy_task(), CONFIG, lambda _: None, path, "theirs")


def test_weights_alone_are_no_training_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "training"
    save_supernet(path, Supernet(DECLARATION, SPACE.skeleton, 0), "mine")
    with pytest.raises(CorruptStateError, match=r"lacks weight\."):
        _train(_toy_task(), path=path)


def test_weight_decay_leaves_biases_and_batchnorm_alone() -> None:
    supernet = Supernet(DECLARATION, SPACE.skeleton, 0)
    decayed, others = training._optimizer(supernet, CONFIG).param_groups
    assert decayed["weight_decay"] == CONFIG.weight_decay
    assert others["weight_decay"] == 0.0
    assert {parameter.ndim for parameter in decayed["params"]} == {2, 4}
    assert {parameter.ndim for parameter in others["params"]} == {1}
    assert len(decayed["params"]) + len(others["params"]) == len(list(supernet.parameters()))


def test_learning_rate_warms_up_and_falls_to_zero() -> None:
    config = CONFIG.model_copy(update={"epochs": 10, "warmup_epochs": 2.0})
    rates = [training._learning_rate(epoch, config) for epoch in (0.0, 1.0, 2.0, 6.0, 10.0)]
    assert rates == pytest.approx([0.0005, 0.0505, 0.1, 0.05, 0.0])
    assert training._learning_rate(0.0, config.model_copy(update={"warmup_epochs": 0.0})) == 0.1
