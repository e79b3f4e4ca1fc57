"""The loop: it learns, resumes to the bit, survives a non-finite loss, averages weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aebnas_bo.errors import CorruptStateError, TrainingDivergedError
from aebnas_bo.seeding import numpy_generator, torch_generator
from aebnas_bo.storage.tensor_file import load_tensors, save_tensors
from aebnas_bo.training import training_loop as loop
from aebnas_bo.training.epoch_outputs import OutputMeter
from aebnas_bo.training.settings import TrainingConfig
from aebnas_bo.training.training_loop import Backward, EpochReport, Recorder, TrainingData, TrainingRun, train
from aebnas_bo.training.training_state import NO_MUON, MuonWeights

CONFIG = TrainingConfig(epochs=4, batch_size=16, learning_rate=0.1, warmup_epochs=1.0)


def _toy_data(num_images: int = 72) -> TrainingData:
    """Horizontal or vertical stripes, under noise."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(num_images) % 2
    images = 0.5 * torch.randn(num_images, 1, 8, 8, generator=generator)
    images[labels == 0, :, ::2, :] += 1.5
    images[labels == 1, :, :, ::2] += 1.5
    return TrainingData(images, labels, _jitter)


def _jitter(images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    return images + 0.01 * torch.randn(images.shape, generator=generator), labels


def _model(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))


def _train(
    data: TrainingData,
    config: TrainingConfig = CONFIG,
    path: Path | None = None,
    on_epoch: Callable[[EpochReport], None] = lambda _: None,
    seed: int = 0,
    run_seed: int = 3,
    model: nn.Module | None = None,
    muon_rate: float = 0.0,
) -> nn.Module:
    model = model or _model(seed)
    muon = MuonWeights((model[0].weight,), muon_rate) if muon_rate else NO_MUON

    def make_backward(generator: np.random.Generator, _: OutputMeter) -> Backward:
        def backward(images: Tensor, targets: Tensor) -> Tensor:
            loss = F.cross_entropy(model(images) * generator.uniform(0.9, 1.1), targets)
            loss.backward()
            return loss.detach()

        return backward

    run = TrainingRun(model, make_backward, 1, "toy", "toy_training", run_seed, muon=muon)
    train(run, data, config, recorder=Recorder(on_epoch, path, "mine"))
    return model


def _equal(one: nn.Module, other: nn.Module) -> bool:
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

    def __call__(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        self.num_seen += 1
        jittered, labels = _jitter(images, labels, generator)
        return (jittered * torch.nan if self.num_seen - 1 in self.numbers else jittered), labels


def test_training_learns() -> None:
    reports: list[EpochReport] = []
    data = _toy_data()
    model = _train(data, CONFIG.model_copy(update={"epochs": 20}), on_epoch=reports.append)
    assert reports[-1].loss < 0.5 * reports[0].loss
    assert float((model(data.images).argmax(1) == data.labels).float().mean()) > 0.95


def test_training_reports_every_epoch() -> None:
    reports: list[EpochReport] = []
    _train(_toy_data(), on_epoch=reports.append)
    assert [report.epoch for report in reports] == [1, 2, 3, 4]
    assert {report.epochs for report in reports} == {4}
    assert {report.rollbacks for report in reports} == {0}
    assert all(report.images_per_s > 0 for report in reports)
    assert reports[1].learning_rate > reports[2].learning_rate > reports[3].learning_rate > 0


def test_training_is_a_function_of_its_seed() -> None:
    data = _toy_data()
    first = _train(data)
    assert _equal(first, _train(data))
    assert not _equal(first, _train(data, run_seed=4))


def test_training_does_not_depend_on_the_global_generator() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        first = _train(_toy_data())
        torch.manual_seed(6)
        assert _equal(first, _train(_toy_data()))


def test_every_epoch_shuffles_anew() -> None:
    batches: list[Tensor] = []

    def augment(images: Tensor, labels: Tensor, _: torch.Generator) -> tuple[Tensor, Tensor]:
        batches.append(images)
        return images, labels

    _train(replace(_toy_data(), augment=augment), CONFIG.model_copy(update={"epochs": 2}))  # 4 batches an epoch
    assert not torch.equal(batches[0], batches[4])


def test_split_smaller_than_a_batch_is_one_batch() -> None:
    seen: list[int] = []

    def augment(images: Tensor, labels: Tensor, _: torch.Generator) -> tuple[Tensor, Tensor]:
        seen.append(len(images))
        return images, labels

    _train(replace(_toy_data(10), augment=augment), CONFIG.model_copy(update={"epochs": 2}))
    assert seen == [10, 10]


def test_resumed_training_ends_with_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    data, path, epochs = _toy_data(), tmp_path / "training", []
    uninterrupted = _train(data)
    for epoch in (1, 3):
        with pytest.raises(_StoppedError):
            _train(data, path=path, on_epoch=_stop_after(epoch), seed=epoch)
        assert load_tensors(path, "mine")[1]["epoch"] == str(epoch)
    resumed = _train(data, path=path, on_epoch=lambda report: epochs.append(report.epoch), seed=9)
    assert _equal(uninterrupted, resumed) is False  # the weights of seed 1 went on
    assert epochs == [4]

    path.unlink()
    with pytest.raises(_StoppedError):
        _train(data, path=path, on_epoch=_stop_after(2))
    assert _equal(uninterrupted, _train(data, path=path, seed=9))


def test_finished_training_is_not_repeated(tmp_path: Path) -> None:
    data, path = _toy_data(), tmp_path / "training"
    finished = _train(data, path=path)
    assert _equal(finished, _train(data, path=path, on_epoch=_stop_after(1), seed=9))


def test_checkpoint_is_not_written_after_every_short_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 1e9)
    path, existed = tmp_path / "training", []
    _train(_toy_data(), path=path, on_epoch=lambda _: existed.append(path.exists()))
    assert existed == [False, False, False, True]


def test_non_finite_loss_rolls_back_and_halves_the_learning_rate() -> None:
    data, reports, reference = _toy_data(), list[EpochReport](), list[EpochReport]()
    _train(data, on_epoch=reference.append)
    spoilt = replace(data, augment=_SpoiltImages(5))  # 4 batches an epoch: the second of epoch 2
    supernet = _train(spoilt, on_epoch=reports.append)
    assert [report.rollbacks for report in reports] == [0, 1, 1, 1]
    assert reports[0].loss == reference[0].loss
    assert reports[1].learning_rate == pytest.approx(reference[1].learning_rate / 2)
    assert all(torch.isfinite(parameter).all() for parameter in supernet.parameters())


@pytest.mark.parametrize("muon_rate", [0.0, 0.02])
def test_roll_back_restores_weights_and_momentum(monkeypatch: pytest.MonkeyPatch, muon_rate: float) -> None:
    monkeypatch.setattr(loop, "ROLLBACK_FACTOR", 1.0)
    names: list[tuple[str | int, ...]] = []

    def without_rollbacks(seed: int, *name: str | int) -> torch.Generator:
        names.append(name)
        return torch_generator(seed, *name[:3], "rollback", 0, *name[5:])

    monkeypatch.setattr(loop, "torch_generator", without_rollbacks)
    monkeypatch.setattr(
        loop,
        "numpy_generator",
        lambda seed, *name: numpy_generator(seed, *name[:3], "rollback", 0, *name[5:]),
    )
    data = _toy_data()
    undisturbed = _train(data, muon_rate=muon_rate)
    names.clear()
    rolled_back = _train(replace(data, augment=_SpoiltImages(6)), muon_rate=muon_rate)
    assert _equal(undisturbed, rolled_back)
    assert [name[4] for name in names] == [0, 0, 1, 1, 1]  # the stream does vary by the count


@pytest.mark.parametrize("every", [2, 3, 100])
def test_rare_checks_change_neither_weights_nor_reports_nor_roll_backs(monkeypatch, caplog, every: int) -> None:
    def trained() -> tuple[nn.Module, list[tuple[float, int]], list[str]]:
        caplog.clear()
        reports: list[EpochReport] = []
        spoilt = replace(_toy_data(), augment=_SpoiltImages(5))  # 4 batches an epoch: the second of epoch 2
        model = _train(spoilt, on_epoch=reports.append)
        return model, [(one.loss, one.rollbacks) for one in reports], [one.getMessage() for one in caplog.records]

    expected = trained()
    monkeypatch.setattr(loop, "CHECK_STEPS", {"cpu": every})
    model, reports, messages = trained()
    assert _equal(model, expected[0])
    assert reports == expected[1]
    assert messages == expected[2]
    assert "rolled back" in messages[0]


def test_resume_after_a_roll_back_keeps_its_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    data, path = _toy_data(), tmp_path / "training"
    uninterrupted = _train(replace(data, augment=_SpoiltImages(5)))
    with pytest.raises(_StoppedError):
        _train(replace(data, augment=_SpoiltImages(5)), path=path, on_epoch=_stop_after(2))
    assert load_tensors(path, "mine")[1]["rollbacks"] == "1"
    assert _equal(uninterrupted, _train(data, path=path, seed=9))


def test_endless_divergence_is_an_error_that_says_what_to_do() -> None:
    data = replace(_toy_data(), augment=_SpoiltImages(*range(4, 1000)))
    with pytest.raises(TrainingDivergedError) as caught:
        _train(data, CONFIG.model_copy(update={"max_rollbacks": 2}))
    message = str(caught.value)
    with pytest.raises(TrainingDivergedError, match=r"lower .*, toy_training.muon_learning_rate or"):
        _train(data, CONFIG.model_copy(update={"max_rollbacks": 2}), muon_rate=0.02)
    assert "epoch 2" in message
    assert "2 roll-backs" in message
    assert "learning rate of 0.025" in message
    assert "lower toy_training.learning_rate" in message


def test_damaged_checkpoint_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "training"
    _train(_toy_data(), path=path)
    damaged = bytearray(path.read_bytes())
    damaged[-10] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(CorruptStateError, match="is damaged: it does not match its hash"):
        _train(_toy_data(), path=path)


def test_foreign_checkpoint_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "training"
    save_tensors(path, {}, {"fingerprint": "theirs"})
    with pytest.raises(CorruptStateError, match="another space, data set, seed or training"):
        _train(_toy_data(), path=path)


def test_weights_alone_are_no_training_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "training"
    save_tensors(path, dict(_model().named_parameters()), {"fingerprint": "mine"})
    with pytest.raises(CorruptStateError, match=r"lacks weight\."):
        _train(_toy_data(), path=path)


def _weight_after_steps(gradient: float, num_steps: int, **settings: float) -> tuple[float, list[float]]:
    """Train a single weight, 1 at first, by a constant gradient; return it and the learning rate of every step."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)

    def backward(images: Tensor, targets: Tensor) -> Tensor:
        model.weight.grad = torch.full_like(model.weight, gradient)
        return torch.zeros(())

    rates: list[float] = []
    config = CONFIG.model_copy(update={"epochs": num_steps, "weight_decay": 0.0, "warmup_epochs": 0.0, **settings})
    run = TrainingRun(model, lambda *_: backward, 1, "toy", "toy_training", 0)
    data = TrainingData(torch.zeros(16, 1), torch.zeros(16, dtype=torch.long), lambda batch, labels, _: (batch, labels))
    train(run, data, config, recorder=Recorder(lambda report: rates.append(report.learning_rate)))  # one step an epoch
    return model.weight.item(), rates


@pytest.mark.parametrize(("gradient", "clipped"), [(30.0, 2.0), (-30.0, -2.0), (1.5, 1.5)])
def test_a_step_follows_the_gradient_up_to_the_largest_norm_allowed(gradient: float, clipped: float) -> None:
    weight, rates = _weight_after_steps(gradient, 1, momentum=0.0, gradient_clip=2.0)
    assert weight == pytest.approx(1.0 - rates[0] * clipped)


def test_momentum_is_nesterovs() -> None:
    weight, (first, second) = _weight_after_steps(1.0, 2, momentum=0.5)
    # velocities 1 and 1.5; a step follows the gradient and half of the velocity: 1 + 0.5, then 1 + 0.75
    assert weight == pytest.approx(1.0 - 1.5 * first - 1.75 * second)


AVERAGING = CONFIG.model_copy(update={"ema_decay": 0.5})


def test_averaged_weights_replace_the_last_ones() -> None:
    """One step an epoch: the average is worked out by hand from the weights after every step."""
    data, config = _toy_data(16), AVERAGING.model_copy(update={"epochs": 3})
    plain, steps = _model(), list[list[Tensor]]()

    def keep(_: EpochReport) -> None:
        steps.append([parameter.detach().clone() for parameter in plain.parameters()])

    _train(data, config.model_copy(update={"ema_decay": 0.0}), on_epoch=keep, model=plain)
    averaged = _train(data, config)
    for average, one, two, three in zip(averaged.parameters(), *steps, strict=True):
        torch.testing.assert_close(average.detach(), 0.5 * (0.5 * one + 0.5 * two) + 0.5 * three)


def test_resumed_averaging_ends_with_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    data, path = _toy_data(), tmp_path / "training"
    uninterrupted = _train(data, AVERAGING)
    assert not _equal(uninterrupted, _train(data))
    with pytest.raises(_StoppedError):
        _train(data, AVERAGING, path, _stop_after(2))
    assert _equal(uninterrupted, _train(data, AVERAGING, path, seed=9))
    assert _equal(uninterrupted, _train(data, AVERAGING, path, seed=9))  # already finished


def test_roll_back_restores_the_average() -> None:
    data = replace(_toy_data(), augment=_SpoiltImages(0))  # the very first batch: no average yet
    model = _train(data, AVERAGING)
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())


def test_weights_learn_at_their_own_rate() -> None:
    def weights_after_one_epoch(rate_factors: dict[str, float]) -> dict[str, Tensor]:
        model = _model()

        def make_backward(_: np.random.Generator, __: OutputMeter) -> Backward:
            def backward(images: Tensor, targets: Tensor) -> Tensor:
                loss = F.cross_entropy(model(images), targets)
                loss.backward()
                return loss

            return backward

        run = TrainingRun(model, make_backward, 1, "toy", "toy", 3, rate_factors=rate_factors)
        train(run, _toy_data(16), CONFIG.model_copy(update={"epochs": 1, "weight_decay": 0.0, "gradient_clip": 1e6}))
        return dict(model.named_parameters())

    before = dict(_model().named_parameters())
    full, kept, slow = (weights_after_one_epoch(one) for one in ({}, {"0.": 0.0}, {"0.": 0.5}))
    assert kept["0.weight"].equal(before["0.weight"])
    assert kept["4.weight"].equal(full["4.weight"])  # one step, so the other weights have the same gradient
    torch.testing.assert_close(slow["0.weight"] - before["0.weight"], 0.5 * (full["0.weight"] - before["0.weight"]))
