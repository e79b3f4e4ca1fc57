import dataclasses

import pytest
import torch

from aebnas_bo.data.images import Dataset, LabelledImages
from aebnas_bo.errors import DataError


def three() -> LabelledImages:
    return LabelledImages(torch.arange(12, dtype=torch.uint8).view(3, 1, 2, 2), torch.tensor([0, 1, 0]))


def test_labelled_images_have_a_length_and_are_frozen() -> None:
    images = three()
    assert len(images) == 3
    with pytest.raises(dataclasses.FrozenInstanceError):
        images.labels = torch.tensor([1, 1, 1])  # type: ignore[misc]


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (torch.zeros(2, 1, 2, 2), torch.zeros(2, dtype=torch.int64), "uint8"),
        (torch.zeros(2, 2, 2, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64), "N x C x H x W"),
        (torch.zeros(2, 1, 2, 2, dtype=torch.uint8), torch.zeros(3, dtype=torch.int64), "each of 2 images"),
        (torch.zeros(2, 1, 2, 2, dtype=torch.uint8), torch.zeros(2), "float32"),
        (torch.zeros(2, 1, 2, 2, dtype=torch.uint8), torch.tensor([0, -1]), "got -1"),
    ],
)
def test_labelled_images_refuse_wrong_shapes_and_types(
    images: torch.Tensor, labels: torch.Tensor, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        LabelledImages(images, labels)


def test_subset_keeps_the_given_order() -> None:
    part = three().subset(torch.tensor([2, 1]))
    assert part.labels.tolist() == [0, 1]
    assert part.images.flatten().tolist() == [8, 9, 10, 11, 4, 5, 6, 7]


def test_content_hash_depends_on_pixels_labels_and_shape_only() -> None:
    images = three()
    pixels, labels = images.images, images.labels
    other_pixels = pixels.clone()
    other_pixels[0, 0, 0, 0] = 99
    strided = LabelledImages(pixels.contiguous(memory_format=torch.channels_last), labels)
    assert len(images.content_hash()) == 64
    assert strided.content_hash() == three().content_hash() == images.content_hash()
    others = [
        LabelledImages(other_pixels, labels),
        LabelledImages(pixels, torch.tensor([0, 1, 1])),
        LabelledImages(pixels.view(3, 1, 1, 4), labels),
    ]
    assert len({images.content_hash(), *(other.content_hash() for other in others)}) == 4


def test_dataset_accepts_labels_with_names_and_no_test_split() -> None:
    assert Dataset("d", ("a", "b"), three(), None).test is None
    assert Dataset("d", ("a", "b"), three(), three()).class_names == ("a", "b")


def test_dataset_refuses_a_label_without_name() -> None:
    with pytest.raises(DataError, match="train labels below 1"):
        Dataset("d", ("a",), three(), None)


def test_dataset_refuses_test_images_of_another_shape() -> None:
    larger = LabelledImages(torch.zeros(1, 1, 4, 4, dtype=torch.uint8), torch.tensor([0]))
    with pytest.raises(DataError, match=r"\(1, 2, 2\).*\(1, 4, 4\)"):
        Dataset("d", ("a", "b"), three(), larger)


def test_subset_keeps_the_groups() -> None:
    images = LabelledImages(
        torch.zeros(3, 1, 2, 2, dtype=torch.uint8), torch.tensor([0, 1, 0]), torch.tensor([5, 6, 7])
    )
    subset = images.subset(torch.tensor([2, 0]))
    assert subset.groups is not None
    assert subset.groups.tolist() == [7, 5]
    assert images.content_hash() == LabelledImages(images.images, images.labels).content_hash()


def test_images_refuse_groups_of_another_number() -> None:
    with pytest.raises(DataError, match="a group for each of 2 images, got \\(3,\\)"):
        LabelledImages(torch.zeros(2, 1, 2, 2, dtype=torch.uint8), torch.zeros(2).long(), torch.zeros(3).long())
