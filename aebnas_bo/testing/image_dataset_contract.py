"""Contract tests for `ImageDataset`: inherit the class and define the fixture `dataset`."""

from __future__ import annotations

import torch

from aebnas_bo.data.given_images import ImageDataset, Row, given_dataset
from aebnas_bo.data.images import Dataset
from aebnas_bo.data.settings import DataConfig


class ImageDatasetContract:
    """Contract tests for an implementation of `ImageDataset`, which the fixture `dataset` returns.

    The data set should be small and have images of every class.

    Attributes:
        image_size: Side in pixels that images are resized to, see `data.image_size`; `None` keeps their size.
    """

    image_size: int | None = None

    def read(self, dataset: ImageDataset) -> Dataset:
        """Return the images as a study reads them."""
        return given_dataset(dataset, None, DataConfig(dataset="given", image_size=self.image_size))

    def test_every_image_is_read(self, dataset: ImageDataset) -> None:
        """The number of images equals `len`, and all have equal shapes."""
        assert len(self.read(dataset).train) == len(dataset) > 0

    def test_every_class_has_a_name_and_images(self, dataset: ImageDataset) -> None:
        """Labels run from 0 without gaps, and names are distinct."""
        found = self.read(dataset)
        assert set(found.train.labels.tolist()) == set(range(len(found.class_names)))
        assert len(set(found.class_names)) == len(found.class_names) >= 2

    def test_images_depend_on_their_index_alone(self, dataset: ImageDataset) -> None:
        """Images do not depend on the order or number of reads: the data set neither augments nor shuffles."""
        forwards, backwards = self.read(dataset).train, self.read(_Backwards(dataset)).train
        assert torch.equal(forwards.images, backwards.images.flip(0))
        assert torch.equal(forwards.labels, backwards.labels.flip(0))


class _Backwards:
    """Rows of a data set in reverse order."""

    def __init__(self, dataset: ImageDataset) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> Row:
        return self._dataset[len(self._dataset) - 1 - index]
