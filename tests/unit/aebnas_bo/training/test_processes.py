"""Shares of a batch, and settings that several processes need."""

import pickle

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from aebnas_bo.config.loading import load_config
from aebnas_bo.data.settings import AugmentationConfig
from aebnas_bo.errors import ConfigError, UsageError
from aebnas_bo.preparation.fingerprints import supernet_fingerprint
from aebnas_bo.supernet.settings import SupernetConfig
from aebnas_bo.training.processes import ALONE, Processes, copied_to, without_averaging
from aebnas_bo.training.settings import TrainingConfig


def test_shares_are_equal_disjoint_and_leave_a_remainder_out() -> None:
    indices = torch.arange(10, 21)
    shares = [Processes(rank, 3).share(indices).tolist() for rank in range(3)]
    assert shares == [[10, 11, 12], [13, 14, 15], [16, 17, 18]]
    assert ALONE.share(indices) is indices


def test_batches_of_too_few_images_are_refused() -> None:
    with pytest.raises(UsageError, match="a batch of 3 images is too small for 2 processes"):
        Processes(0, 2).share(torch.arange(3))
    assert ALONE.share(torch.arange(1)).tolist() == [0]


def test_alone_nothing_is_averaged_or_wrapped() -> None:
    values, module = torch.tensor([1.0, torch.nan]), nn.Linear(1, 1)
    assert ALONE.mean(values) is values
    assert ALONE.total(values) is values
    assert ALONE.of_first("mine") == "mine"
    assert ALONE.wrapped(module, TrainingConfig(synchronized_batch_norm=True)) is module
    with without_averaging(module):
        pass


def test_a_module_is_copied_only_to_another_device() -> None:
    module = nn.Linear(1, 1)
    assert copied_to(module, torch.device("cpu")) is module
    assert copied_to(module, torch.device("meta")) is not module
    assert module.weight.device.type == "cpu"


@pytest.mark.parametrize(("batch_size", "processes"), [(10, 4), (4, 4)])
def test_batches_that_cannot_be_shared_are_refused(batch_size: int, processes: int) -> None:
    with pytest.raises(ValidationError, match=f"a multiple of {processes}, .* such as {16 * processes}"):
        SupernetConfig(batch_size=batch_size, processes=processes)
    SupernetConfig(batch_size=8, processes=4)


def test_the_number_of_processes_belongs_to_the_fingerprint_and_one_leaves_it_unchanged() -> None:
    alone, two = (load_config(None, [f"supernet.processes={count}"]) for count in (1, 2))
    assert supernet_fingerprint(alone, "images") == supernet_fingerprint(load_config(None, []), "images")
    assert supernet_fingerprint(two, "images") != supernet_fingerprint(alone, "images")
    synchronized = load_config(None, ["supernet.processes=2", "supernet.synchronized_batch_norm=true"])
    assert supernet_fingerprint(synchronized, "images") != supernet_fingerprint(two, "images")


def test_a_given_backbone_needs_one_process() -> None:
    backbone = "{source: torchvision, name: resnet18, weights: none.safetensors}"
    with pytest.raises(ConfigError, match=r"supernet\.processes: exits of a given backbone"):
        load_config(None, [f"space={{backbone: {backbone}}}", "supernet.processes=2"])


def test_settings_of_augmentation_can_be_sent() -> None:
    assert pickle.loads(pickle.dumps(AugmentationConfig())) == AugmentationConfig()
