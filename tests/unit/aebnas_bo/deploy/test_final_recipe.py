from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from aebnas_bo.data.augmentation import Augmentation
from aebnas_bo.data.settings import AugmentationConfig
from aebnas_bo.deploy import final_recipe
from aebnas_bo.deploy.final_recipe import fresh_subnet, muon_weights, train_from_scratch
from aebnas_bo.space.architecture import Architecture, Block, BranchLayer, ExitBranch, Skeleton, Stage
from aebnas_bo.space.macs import exit_costs
from aebnas_bo.supernet.subnet import Subnet
from aebnas_bo.training import training_loop as loop
from aebnas_bo.training.joint_loss import leaving_probabilities
from aebnas_bo.training.settings import FinalTrainingConfig, JointLossConfig
from aebnas_bo.training.training_loop import NO_RECORDER, Recorder, TrainingData, TrainingRun
from aebnas_bo.training.training_state import RATE_FACTOR, initial_state
from tests.device_waits import DeviceWaits
from tests.process_jobs import unchanged

SKELETON = Skeleton(1, 2, 4, 1, (2, 2), (0,), 1, 0, "relu")
BRANCH = ExitBranch((BranchLayer("dense", 3, 1, False, 0),))
NETWORK = Architecture(8, (Stage(6, (Block(3, 2),)), Stage(8, (Block(3, 2),))), (BRANCH,))
CONFIG = FinalTrainingConfig(epochs=12, batch_size=16, learning_rate=0.1, warmup_epochs=1.0)


def data() -> TrainingData:
    labels = torch.arange(64) % 2
    images = 0.5 * torch.randn(64, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    images[labels == 0, :, ::2, :] += 1.5
    images[labels == 1, :, :, ::2] += 1.5
    return TrainingData(images, labels, lambda batch, wanted, _: (batch, wanted))


def train(config: FinalTrainingConfig = CONFIG, seed: int = 0, recorder: Recorder = NO_RECORDER) -> Subnet:
    return train_from_scratch(NETWORK, SKELETON, data(), config=config, seed=seed, recorder=recorder)


def states_equal(one: Subnet, other: Subnet) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


CHANGES: list[dict[str, object]] = [
    {},
    {"exit_distillation": True},
    {"ema_decay": 0.8},
    {"exit_weights": (2.0, 1.0)},
    {"muon_learning_rate": None},
]


@pytest.mark.parametrize("changes", CHANGES)
def test_every_exit_learns(changes: dict[str, object]) -> None:
    subnet = train(CONFIG.model_copy(update=changes))
    assert not subnet.training
    for logits in subnet(data().images):
        assert float((logits.argmax(1) == data().labels).float().mean()) > 0.95


@pytest.mark.slow
def test_training_is_a_function_of_its_seed() -> None:
    assert states_equal(train(), train())
    assert not states_equal(train(), train(seed=1))


def test_interrupted_training_ends_with_the_same_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    path, short = tmp_path / "checkpoint", CONFIG.model_copy(update={"epochs": 4})

    def stop(report: loop.EpochReport) -> None:
        if report.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(short, recorder=Recorder(stop, path, "mine"))
    assert states_equal(train(short), train(short, recorder=Recorder(checkpoint=path, fingerprint="mine")))


@pytest.mark.parametrize("squeezed", [(), (0, 1)])
def test_muon_trains_convolutions_followed_by_batchnorm_except_depthwise_ones(squeezed: tuple[int, ...]) -> None:
    subnet = fresh_subnet(NETWORK, replace(SKELETON, squeezed_stages=squeezed), 0)
    assert len(list(subnet.squeezes())) == len(squeezed)
    chosen = set(muon_weights(subnet, CONFIG).weights)
    names = {name for name, parameter in subnet.named_parameters() if parameter in chosen}
    modules = list(subnet.named_modules())
    expected = {
        f"{name}.weight"
        for (name, module), (_, following) in pairwise(modules)
        if isinstance(module, nn.Conv2d) and module.weight.shape[1] > 1 and isinstance(following, nn.BatchNorm2d)
    }
    assert names - {"stem.0.weight"} == expected  # the stem reads grey images: one input channel, but not depthwise
    assert {name.split(".")[0] for name in names} == {"stem", "stages", "branches"}
    assert muon_weights(subnet, CONFIG.model_copy(update={"muon_learning_rate": None})).weights == ()


def test_biases_of_batchnorm_have_their_own_learning_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[TrainingRun] = []
    monkeypatch.setattr(final_recipe, "train", lambda run, *_, **__: runs.append(run))
    config = CONFIG.model_copy(update={"batchnorm_bias_rate": 3.0})
    subnet = train(config)
    groups = initial_state(subnet, config, rate_factors=runs[0].rate_factors, muon=runs[0].muon).optimizers[0]
    factors = {weight: group[RATE_FACTOR] for group in groups.param_groups for weight in group["params"]}
    biases = {module.bias for module in subnet.modules() if isinstance(module, nn.BatchNorm2d)}
    assert len(biases) == sum(isinstance(module, nn.Conv2d) for module in subnet.modules())
    assert {factors[bias] for bias in biases} == {3.0}
    assert {factor for weight, factor in factors.items() if weight not in biases} == {1.0}


def test_fresh_weights_follow_the_seed_and_leave_other_streams_alone() -> None:
    state = torch.random.get_rng_state()
    one, same, other = (fresh_subnet(NETWORK, SKELETON, seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["stem.0.weight"], other["stem.0.weight"])
    pointwise = fresh_subnet(NETWORK, SKELETON, 0).stages[1][0].layers[2].convolution.weight  # 12 to 8 channels
    assert pointwise.stride()[1] == 1  # or its outputs would not be channels_last
    assert float(pointwise.detach().std()) == pytest.approx((3 * 12) ** -0.5, rel=0.2)


@torch.no_grad()
def test_statistics_are_those_of_images_as_trained_on() -> None:
    brighter = replace(data(), augment=lambda batch, wanted, _: (batch + 3.0, wanted))
    with torch.enable_grad():
        subnet = train_from_scratch(NETWORK, SKELETON, brighter, config=CONFIG.model_copy(update={"epochs": 1}), seed=0)
    features = subnet.stem.convolution(data().images + 3.0)
    torch.testing.assert_close(subnet.stem.norm.running_mean, features.mean(dim=(0, 2, 3)))


@torch.no_grad()
def test_learned_confidences_keep_to_the_budget_and_know_what_is_right() -> None:
    skeleton = replace(SKELETON, has_learned_confidence=True)
    costs = exit_costs(NETWORK, skeleton).cumulative
    budget = 0.5 * sum(costs)
    joint = JointLossConfig(cost_weight=10.0, max_macs=budget / 1e6)
    training = replace(data(), support=(data().images[:16], data().labels[:16]))
    config = CONFIG.model_copy(update={"joint_loss": joint, "epochs": 20})
    with torch.enable_grad():
        subnet = train_from_scratch(NETWORK, skeleton, training, config=config, seed=0)
    early, final = subnet(data().images)
    assert float((final.argmax(1) == data().labels).float().mean()) > 0.9
    sure = early[:, 2].sigmoid()
    expected_cost = leaving_probabilities(sure[None]).mean(dim=1) @ torch.tensor(costs, dtype=torch.float32)
    assert float(expected_cost) < 1.05 * budget
    is_right = (early[:, :2].argmax(1) == data().labels).float()
    assert float(torch.nn.functional.binary_cross_entropy(sure, is_right)) < 0.5


def test_a_network_trains_on_images_of_its_own_resolution() -> None:
    sides: set[int] = set()

    @dataclass(frozen=True)
    class Watched(Augmentation):
        def __call__(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
            sides.add(images.shape[-1])
            return super().__call__(images, labels, generator)

    images = torch.randint(0, 256, (64, 1, 16, 16), dtype=torch.uint8)
    augment = Watched(AugmentationConfig(crop_padding=1), (0.5,), (0.25,), 2)
    large = TrainingData(images, data().labels, augment)
    once = CONFIG.model_copy(update={"epochs": 1})
    train_from_scratch(NETWORK, SKELETON, large, config=once, seed=0)
    assert sides == {8}
    train_from_scratch(replace(NETWORK, resolution=16), SKELETON, large, config=once, seed=0)
    assert sides == {8, 16}


@pytest.mark.slow
def test_two_processes_learn_and_end_equally_with_equal_seeds() -> None:
    config = CONFIG.model_copy(update={"processes": 2, "epochs": 8})
    shared = replace(data(), augment=unchanged)

    def trained() -> Subnet:
        return train_from_scratch(NETWORK, SKELETON, shared, config=config, seed=0)

    subnet = trained()
    assert states_equal(subnet, trained())
    assert not states_equal(subnet, train(config.model_copy(update={"processes": 1})))
    for logits in subnet(shared.images):
        assert float((logits.argmax(1) == shared.labels).float().mean()) > 0.9


@pytest.mark.slow
def test_synchronized_processes_train_the_network_of_one_process() -> None:
    shared = replace(data(), augment=unchanged)

    def weights(processes: int, *, is_synchronized: bool) -> Tensor:
        changes = {"processes": processes, "epochs": 1, "synchronized_batch_norm": is_synchronized}
        subnet = train_from_scratch(NETWORK, SKELETON, shared, config=CONFIG.model_copy(update=changes), seed=0)
        return torch.cat([parameter.detach().flatten() for parameter in subnet.parameters()])

    alone = weights(1, is_synchronized=False)
    assert float((weights(2, is_synchronized=True) - alone).abs().max()) < 1e-4
    assert float((weights(2, is_synchronized=False) - alone).abs().max()) > 1e-2


@pytest.mark.parametrize("changes", [{}, {"exit_distillation": True}])
def test_steps_read_nothing_from_the_device(monkeypatch, changes: dict[str, object]) -> None:
    monkeypatch.setattr(loop, "CHECK_STEPS", {"cpu": 1000})
    images = torch.randint(0, 256, (64, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    augment = Augmentation(AugmentationConfig(crop_padding=1, horizontal_flip=True), (0.5,), (0.25,), 2)
    once = CONFIG.model_copy(update={"epochs": 1, **changes})

    def waits(batch_size: int) -> int:
        config = once.model_copy(update={"batch_size": batch_size})
        with DeviceWaits() as counted:
            train_from_scratch(NETWORK, SKELETON, TrainingData(images, data().labels, augment), config=config, seed=0)
        return counted.count

    assert waits(32) == waits(8)
