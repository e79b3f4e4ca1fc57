from pathlib import Path

import pytest
import torch

from aebnas_bo.data.datasets import load_dataset, load_splits
from aebnas_bo.data.settings import DataConfig
from aebnas_bo.errors import DataError


def test_digits_are_all_there() -> None:
    dataset = load_dataset(DataConfig())
    assert dataset.train.images.shape == (1797, 1, 8, 8)
    assert dataset.train.images.max() == 255
    assert dataset.test is None
    assert dataset.class_names == tuple("0123456789")


def test_digits_can_be_resized_and_thinned_out() -> None:
    dataset = load_dataset(DataConfig(image_size=4, max_train_images=200))
    assert dataset.train.images.shape == (200, 1, 4, 4)
    assert torch.bincount(dataset.train.labels).min() >= 19  # stratified


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "svhn"])
def test_missing_torchvision_data_names_path_and_flag(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere.*data\.download=true"):
        load_dataset(DataConfig(dataset=name, root=str(tmp_path / "nowhere")))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["imagefolder", "cifar10"])
def test_a_home_folder_that_nobody_has_is_said(name: str) -> None:
    config = DataConfig(dataset=name, root="~nobody-has-it/images", image_size=8)  # type: ignore[arg-type]
    with pytest.raises(
        DataError, match=r"^data\.root: the home folder for ~ in ~nobody-has-it/images is unknown; give"
    ):
        load_dataset(config)


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert DataConfig(dataset="cifar10", root="~/images").folder == tmp_path / "images"


@pytest.mark.slow
def test_real_cifar10_subset(cifar10: Path) -> None:
    config = DataConfig(
        dataset="imagefolder", root=str(cifar10), image_size=16, max_train_images=500, max_test_images=200
    )
    splits = load_splits(config)
    assert len(splits.train) + len(splits.calibration) + len(splits.validation) == 500
    assert (len(splits.test), splits.image_size, splits.in_channels) == (200, 16, 3)
    assert splits.class_names[0] == "airplane"
    counts = torch.bincount(splits.validation.labels)
    assert counts.max() - counts.min() <= 1  # stratified
