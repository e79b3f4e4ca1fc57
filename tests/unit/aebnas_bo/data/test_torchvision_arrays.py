import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torchvision import datasets as tv

from aebnas_bo.data.datasets import load_dataset
from aebnas_bo.data.picture_conversion import image_array
from aebnas_bo.data.settings import DataConfig
from aebnas_bo.errors import DataError


class FakeVision:
    """Stands in for torchvision's data sets: 40 and 20 images of two classes, by rows and columns as there."""

    classes = ("plane", "car")

    def __init__(self, root: str, train: bool = True, split: str = "train", download: bool = False) -> None:
        if root.endswith("missing") and not download:
            raise RuntimeError("Dataset not found or corrupted. You can use download=True to download it")
        count = 40 if train and split == "train" else 20
        self.data = np.zeros((count, 4, 4, 3), dtype=np.uint8)
        self.data[:, 0, 1] = (1, 2, 3)  # row 0, column 1
        self.targets = [i % 2 for i in range(count)]


class FakeSvhn(FakeVision):
    """SVHN has its channels first and an array of labels."""

    def __init__(self, root: str, split: str = "train", download: bool = False) -> None:
        super().__init__(root, split=split, download=download)
        self.data = self.data.transpose(0, 3, 1, 2)
        self.labels = np.array(self.targets)


@pytest.fixture
def _fake_vision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tv, "CIFAR10", FakeVision)
    monkeypatch.setattr(tv, "CIFAR100", FakeVision)
    monkeypatch.setattr(tv, "SVHN", FakeSvhn)


@pytest.mark.usefixtures("_fake_vision")
@pytest.mark.parametrize("name", ["cifar10", "cifar100", "svhn"])
def test_torchvision_arrays_become_channels_first(name: str) -> None:
    dataset = load_dataset(DataConfig.model_validate({"dataset": name, "root": "here"}))
    assert dataset.name == name
    assert dataset.class_names[:2] == (("0", "1") if name == "svhn" else ("plane", "car"))
    assert dataset.test is not None
    assert (len(dataset.train), len(dataset.test)) == (40, 20)
    assert dataset.train.images.shape == (40, 3, 4, 4)
    assert dataset.train.images[0, :, 0, 1].tolist() == [1, 2, 3]
    assert int(dataset.train.images[0].sum()) == 6
    assert dataset.train.labels.tolist() == [0, 1] * 20


@pytest.mark.usefixtures("_fake_vision")
def test_torchvision_subsets_apply_to_their_own_split() -> None:
    dataset = load_dataset(DataConfig(dataset="cifar10", root="here", max_train_images=30, max_test_images=10))
    assert dataset.test is not None
    assert torch.bincount(dataset.train.labels).tolist() == [15, 15]
    assert torch.bincount(dataset.test.labels).tolist() == [5, 5]


@pytest.mark.usefixtures("_fake_vision")
def test_torchvision_is_told_to_download_only_if_asked() -> None:
    assert len(load_dataset(DataConfig(dataset="cifar10", root="missing", download=True)).train) == 40
    with pytest.raises(DataError, match=r"missing.*--set data\.root=.*--set data\.download=true"):
        load_dataset(DataConfig(dataset="cifar10", root="missing"))


def test_digits_are_scaled_to_bytes() -> None:
    train = load_dataset(DataConfig()).train
    source = load_digits()
    expected = [round(int(value) * 255 / 16) for value in source.images[0].ravel()]
    assert train.images[0].flatten().tolist() == expected
    assert train.labels.tolist() == source.target.tolist()


@pytest.mark.parametrize("limit", [1787, 1796, 1797, 5000])
def test_a_subset_may_leave_out_just_a_few_images(limit: int) -> None:
    assert len(load_dataset(DataConfig(max_train_images=limit)).train) == min(limit, 1797)


def test_image_size_shrinks_by_averaging() -> None:
    full, small = (load_dataset(DataConfig(image_size=size)).train.images for size in (None, 4))
    means = full.double().view(1797, 1, 4, 2, 4, 2).mean(dim=(3, 5))
    assert small.dtype == torch.uint8
    assert (small.double() - means).abs().max() <= 0.5  # nothing but rounding


def test_what_does_not_divide_is_resized_as_pictures_of_files_are() -> None:
    full, small = (load_dataset(DataConfig(image_size=size)).train.images[:50] for size in (None, 6))
    pictures = np.stack([image_array(Image.fromarray(image[0].numpy()), 6, 1) for image in full])
    assert np.abs(small.numpy().astype(int) - pictures).max() <= 1


def test_image_size_enlarges_smoothly() -> None:
    small, large = (load_dataset(DataConfig(image_size=size)).train.images for size in (None, 16))
    assert large.shape == (1797, 1, 16, 16)
    assert torch.equal(large[..., 0, 0], small[..., 0, 0])  # corners keep their value
    assert float(large.float().mean()) == pytest.approx(float(small.float().mean()), abs=1.0)
