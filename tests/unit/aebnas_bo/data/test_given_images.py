"""Images given from Python, in all the forms they come in."""

from collections.abc import Mapping
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import TensorDataset

from aebnas_bo.data.given_images import ImageDataset, given_dataset
from aebnas_bo.data.images import LabelledImages
from aebnas_bo.data.settings import DataConfig
from aebnas_bo.errors import DataError
from aebnas_bo.testing.image_dataset_contract import ImageDatasetContract

PIXELS = np.arange(4 * 6 * 6 * 3, dtype=np.uint8).reshape(4, 6, 6, 3)
LABELS = [0, 1, 1, 0]
EXPECTED = torch.from_numpy(PIXELS).permute(0, 3, 1, 2)


class Rows:
    """A data set of rows, whatever they are."""

    def __init__(self, rows: list[object], **names: object) -> None:
        self._rows = rows
        self.__dict__.update(names)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> object:
        return self._rows[index]


class TestRowsContract(ImageDatasetContract):
    @pytest.fixture(params=["pairs", "mappings"])
    def dataset(self, request: pytest.FixtureRequest) -> Rows:
        pairs: list[object] = list(zip(PIXELS, LABELS, strict=True))
        mappings: list[object] = [{"image": Image.fromarray(one), "label": label} for one, label in pairs]
        return Rows(pairs if request.param == "pairs" else mappings, class_names=("cat", "dog"))


class TestTorchDatasetContract(ImageDatasetContract):
    image_size = 8

    @pytest.fixture
    def dataset(self) -> ImageDataset:
        return TensorDataset(torch.rand(6, 3, 10, 12), torch.tensor([0, 1, 2, 0, 1, 2]))


def given(size: int | None = None, **settings: object) -> DataConfig:
    return DataConfig.model_validate({"dataset": "given", "image_size": size, **settings})


def read(source: object, size: int | None = None) -> LabelledImages:
    return given_dataset(source, None, given(size)).train  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "source",
    [
        (PIXELS, LABELS),
        (EXPECTED, torch.tensor(LABELS)),
        (EXPECTED / 255.0, np.array(LABELS)),
        Rows(list(zip(PIXELS, LABELS, strict=True))),
        Rows([(Image.fromarray(one), label) for one, label in zip(PIXELS, LABELS, strict=True)]),
        Rows([{"img": Image.fromarray(one), "label": label} for one, label in zip(PIXELS, LABELS, strict=True)]),
    ],
    ids=["arrays", "bytes", "floats", "rows of arrays", "rows of pictures", "mappings"],
)
def test_every_form_gives_the_same_bytes(source: object) -> None:
    found = read(source)
    assert torch.equal(found.images, EXPECTED)
    assert found.labels.tolist() == LABELS


def test_grey_images_have_one_channel_and_size_is_what_was_asked_for() -> None:
    grey = (PIXELS[..., 0], LABELS)
    assert read(grey).images.shape == (4, 1, 6, 6)
    assert read((PIXELS[..., :1], LABELS)).images.shape == (4, 1, 6, 6)
    assert read(grey, size=4).images.shape == (4, 1, 4, 4)
    wide = Rows([(PIXELS[0, :4], 0), (PIXELS[1], 1)])
    assert read(wide, size=6).images.shape == (2, 3, 6, 6)


def test_names_of_classes_come_with_the_images() -> None:
    rows = list(zip(PIXELS, LABELS, strict=True))
    features: Mapping[str, object] = {"label": SimpleNamespace(names=["cat", "dog"])}
    for source, names in (
        (Rows(rows, class_names=("a", "b")), ("a", "b")),
        (Rows(rows, classes=["c", "d"]), ("c", "d")),
        (Rows(rows, features=features), ("cat", "dog")),
        (Rows(rows), ("0", "1")),
    ):
        assert given_dataset(source, None, given()).class_names == names  # type: ignore[arg-type]


def test_test_images_are_read_too() -> None:
    dataset = given_dataset((PIXELS, LABELS), (PIXELS[:2], [0, 2]), given())
    assert dataset.test is not None
    assert dataset.test.labels.tolist() == [0, 2]
    assert dataset.class_names == ("0", "1", "2")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ((PIXELS, [0, 1]), "expected one label for each of 4 images, got 2"),
        ((PIXELS.astype(np.int32), LABELS), r"train images\[0\]: expected uint8"),
        ((EXPECTED / 64.0, LABELS), r"expected floats in \[0, 1\]; pass images that are not normalised"),
        ((PIXELS[:, :4], LABELS), r"is 6x4, not square; set data\.image_size"),
        (Rows([(PIXELS[0], 0), (PIXELS[1, :3, :3], 1)]), r"different sizes \(6x6 and 3x3\); set data\.image_size"),
        (Rows([{"picture": PIXELS[0], "label": 1}]), "expected rows with the keys image and label, got picture, label"),
        (Rows([PIXELS[0]]), r"expected rows \(image, label\), got ndarray"),
        (Rows([(PIXELS[0], "cat")]), "expected integers from 0 as labels, got 'cat'"),
        (Rows([("cat.png", 0)]), "expected a PIL image, an array or a tensor, got str"),
        (Rows([]), "expected images, got none"),
        (Rows([(PIXELS[0], 3)], class_names=("a", "b")), "labels below 2, the number of class names, got 3"),
    ],
)
def test_what_does_not_fit_is_named(source: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(source)


def test_training_and_test_images_must_have_one_size() -> None:
    with pytest.raises(DataError, match=r"test\[0\]: images have different sizes \(6x6 and 3x3\)"):
        given_dataset((PIXELS, LABELS), (PIXELS[:, :3, :3], LABELS), given())


def test_training_images_decide_the_channels_of_test_images() -> None:
    grey = (PIXELS[..., 0], LABELS)
    for train, test, channels in (((PIXELS, LABELS), grey, 3), (grey, (PIXELS, LABELS), 1)):
        dataset = given_dataset(train, test, given())
        assert dataset.test is not None
        assert dataset.train.images.shape[1] == dataset.test.images.shape[1] == channels
    expected = np.asarray(Image.fromarray(PIXELS[0]).convert("L"))
    assert np.array_equal(dataset.test.images[0, 0].numpy(), expected)
    assert dataset.origin.counts.lost_colours == 4
