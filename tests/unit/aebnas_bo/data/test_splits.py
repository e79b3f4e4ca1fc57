import math
from dataclasses import replace

import pytest
import torch

from aebnas_bo.data.datasets import load_splits
from aebnas_bo.data.images import Dataset, LabelledImages
from aebnas_bo.data.settings import DataConfig
from aebnas_bo.data.splits import Splits, final_splits, make_splits, set_aside, stratified_indices
from aebnas_bo.data.transforms import normalize
from aebnas_bo.errors import DataError

PARTS = ("train", "calibration", "validation", "test")


def numbered(sizes: list[int], start: int = 0) -> LabelledImages:
    """1 x 1 x 2 images that carry their own number in base 256, `sizes[k]` of class `k`."""
    numbers = torch.arange(start, start + sum(sizes))
    pixels = torch.stack([numbers // 256, numbers % 256], dim=1).to(torch.uint8)
    return LabelledImages(pixels.view(-1, 1, 1, 2), torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes)))


def numbers(images: LabelledImages) -> list[int]:
    return [256 * high + low for high, low in images.images.view(-1, 2).tolist()]


def dataset(sizes: list[int], test_sizes: list[int] | None = None) -> Dataset:
    test = None if test_sizes is None else numbered(test_sizes, start=1000)
    return Dataset("numbers", tuple(f"class {k}" for k in range(len(sizes))), numbered(sizes), test)


def class_counts(images: LabelledImages) -> list[int]:
    return torch.bincount(images.labels).tolist()


def test_make_splits_carves_four_disjoint_stratified_parts() -> None:
    config = DataConfig(test_fraction=0.2, validation_fraction=0.25, calibration_fraction=0.1)
    splits = make_splits(dataset([300, 200]), config)
    # Test: a fifth of 500; then a quarter and a tenth of the other 400.
    assert [len(getattr(splits, part)) for part in PARTS] == [260, 40, 100, 100]
    assert class_counts(splits.test) == [60, 40]
    assert class_counts(splits.validation) == [60, 40]
    assert class_counts(splits.calibration) == [24, 16]
    assert sorted(n for part in PARTS for n in numbers(getattr(splits, part))) == list(range(500))


def test_make_splits_keeps_a_test_split_whole() -> None:
    splits = make_splits(dataset([40, 40], [5, 7]), DataConfig())
    assert numbers(splits.test) == list(range(1000, 1012))
    assert [len(getattr(splits, part)) for part in PARTS[:3]] == [52, 8, 20]


def test_make_splits_is_determined_by_the_split_seed() -> None:
    data = dataset([60, 60])
    first = make_splits(data, DataConfig(split_seed=1))
    assert first.data_hash == make_splits(data, DataConfig(split_seed=1)).data_hash
    assert first.data_hash != make_splits(data, DataConfig(split_seed=2)).data_hash


def test_make_splits_keeps_test_images_when_other_fractions_change() -> None:
    data = dataset([60, 60])
    first, second = (make_splits(data, DataConfig(validation_fraction=f)) for f in (0.2, 0.4))
    assert numbers(first.test) == numbers(second.test)


def test_make_splits_takes_statistics_from_the_train_split_alone() -> None:
    splits = make_splits(dataset([300, 200]), DataConfig())
    values = splits.train.images.double().flatten() / 255.0
    mean = float(values.sum()) / len(values)
    std = math.sqrt(float(((values - mean) ** 2).sum()) / (len(values) - 1))
    assert splits.mean == pytest.approx((mean,))
    assert splits.std == pytest.approx((std,))


def test_make_splits_gives_each_channel_its_own_statistics_and_floors_the_deviation() -> None:
    images = torch.zeros(40, 3, 2, 2, dtype=torch.uint8)
    images[:, 1] = 255
    images[:, 2, 0] = 255  # half of the pixels of each image
    labels = torch.arange(40) % 2
    splits = make_splits(Dataset("d", ("a", "b"), LabelledImages(images, labels), None), DataConfig())
    assert splits.mean == pytest.approx((0.0, 1.0, 0.5))
    assert splits.std == pytest.approx((1e-3, 1e-3, 0.5), rel=0.02)


def test_splits_describe_their_images() -> None:
    splits = load_splits(DataConfig(dataset="digits"))
    assert isinstance(splits, Splits)
    assert (splits.num_classes, splits.in_channels, splits.image_size) == (10, 1, 8)
    assert [len(getattr(splits, part)) for part in PARTS] == [992, 153, 382, 270]
    assert len(splits.data_hash) == 64


def test_normalized_batches_are_those_of_the_whole_split_normalised_at_once() -> None:
    splits = make_splits(dataset([60, 60]), DataConfig())
    images = splits.validation.images
    batches = list(splits.normalized_batches(images, 7))
    assert [len(batch) for batch in batches] == [7] * (len(images) // 7) + [len(images) % 7] * (len(images) % 7 > 0)
    assert torch.equal(torch.cat(batches), normalize(images, splits.mean, splits.std))


def test_data_hash_depends_on_which_split_an_image_is_in() -> None:
    splits = make_splits(dataset([60, 60]), DataConfig())
    swapped = Splits(
        splits.calibration, splits.train, splits.validation, splits.test, splits.class_names, splits.mean, splits.std
    )
    assert swapped.data_hash != splits.data_hash


@pytest.mark.parametrize("name", ["calibration", "validation", "test"])
def test_a_fraction_of_fewer_images_than_classes_becomes_one_image_of_each(name: str) -> None:
    splits = make_splits(dataset([40, 40, 40]), DataConfig.model_validate({f"{name}_fraction": 0.001}))
    assert class_counts(getattr(splits, name)) == [1, 1, 1]


def test_many_classes_of_few_images_have_an_image_in_every_part() -> None:
    splits = make_splits(dataset([5] * 150), DataConfig())
    assert [class_counts(getattr(splits, part)) for part in PARTS[1:]] == [[1] * 150, [1] * 150, [1] * 150]
    assert class_counts(splits.train) == [2] * 150


def test_make_splits_names_a_fraction_that_is_too_large() -> None:
    with pytest.raises(DataError, match=r"data\.test_fraction.*lower it"):
        make_splits(dataset([40, 40]), DataConfig(test_fraction=0.99))


@pytest.mark.parametrize("fractions", [(0.1, 0.25), (0.02, 0.5), (0.5, 0.02), (0.4, 0.4)])
@pytest.mark.parametrize(("sizes", "test_sizes"), [([200, 3], [5, 5]), ([200, 4, 200], None)])
def test_small_classes_are_in_every_split_whatever_the_fractions(
    fractions: tuple[float, float], sizes: list[int], test_sizes: list[int] | None
) -> None:
    config = DataConfig(calibration_fraction=fractions[0], validation_fraction=fractions[1])
    splits = make_splits(dataset(sizes, test_sizes), config)
    for part in PARTS:
        assert int(torch.bincount(getattr(splits, part).labels, minlength=len(sizes)).min()) >= 1
    own = PARTS if test_sizes is None else PARTS[:3]
    assert sorted(number for part in own for number in numbers(getattr(splits, part))) == list(range(sum(sizes)))


@pytest.mark.parametrize(("test_sizes", "least"), [([5, 5], 3), (None, 4)])
def test_make_splits_names_classes_with_fewer_images_than_splits(test_sizes: list[int] | None, least: int) -> None:
    with pytest.raises(DataError, match=rf"at least {least} training images.*got fewer of: class 1 \(2\); add images"):
        make_splits(dataset([200, 2], test_sizes), DataConfig())


def with_validation(sizes: list[int]) -> Dataset:
    return replace(dataset([40, 40], [10, 10]), validation=numbered(sizes))


def test_validation_images_of_the_data_set_are_validated_on_and_never_trained_on() -> None:
    splits = make_splits(with_validation([500, 500]), DataConfig())
    assert splits.has_own_validation
    assert len(splits.validation) == 1000
    assert sorted(numbers(splits.train) + numbers(splits.calibration)) == list(range(80))
    final = final_splits(splits, DataConfig())
    assert sorted(numbers(final.train)) == list(range(80))
    assert len(final.validation) == len(final.calibration) == 1000


def test_validation_images_of_the_data_set_must_have_every_class() -> None:
    with pytest.raises(DataError, match="validation split, but it has no image of: class 1; add images"):
        make_splits(with_validation([10]), DataConfig())


def test_make_splits_names_the_class_a_test_split_lacks() -> None:
    with pytest.raises(DataError, match=r"test split.*class 1; raise data\.max_test_images"):
        make_splits(dataset([40, 40], [10]), DataConfig())


def test_stratified_indices_are_sorted_distinct_and_in_proportion() -> None:
    labels = numbered([60, 30, 10]).labels
    chosen = stratified_indices(labels, 50, DataConfig(), split="train")
    assert chosen.tolist() == sorted(set(chosen.tolist()))
    assert torch.bincount(labels[chosen]).tolist() == [30, 15, 5]


def test_stratified_indices_depend_on_seed_and_split() -> None:
    labels = numbered([60, 60]).labels
    first = stratified_indices(labels, 40, DataConfig(), split="train").tolist()
    assert first == stratified_indices(labels, 40, DataConfig(), split="train").tolist()
    assert first != stratified_indices(labels, 40, DataConfig(split_seed=1), split="train").tolist()
    assert first != stratified_indices(labels, 40, DataConfig(), split="test").tolist()


@pytest.mark.parametrize("count", [100, 1000])
def test_stratified_indices_return_everything_if_no_more_is_there(count: int) -> None:
    assert stratified_indices(numbered([60, 40]).labels, count, DataConfig(), split="train").tolist() == list(
        range(100)
    )


def test_stratified_indices_drop_fewer_images_than_classes_from_the_largest() -> None:
    labels = numbered([8, 1, 5, 1]).labels  # scikit-learn would refuse to carve out 3 images of 4 classes
    chosen = stratified_indices(labels, 12, DataConfig(), split="train")
    assert torch.bincount(labels[chosen]).tolist() == [5, 1, 5, 1]
    assert chosen.tolist() == stratified_indices(labels, 12, DataConfig(), split="train").tolist()


def test_stratified_indices_refuse_fewer_images_than_classes() -> None:
    with pytest.raises(DataError, match=r"data\.max_test_images.*at least 3, one image of each class, got 2"):
        stratified_indices(numbered([5, 5, 5]).labels, 2, DataConfig(), split="test")


def test_set_aside_takes_equally_many_of_each_class_and_nothing_twice() -> None:
    images = numbered([30, 50, 20])
    left, aside = set_aside(images, 0.12, seed=0)
    assert torch.bincount(aside.labels).tolist() == [4, 4, 4]
    assert sorted(numbers(left) + numbers(aside)) == sorted(numbers(images))
    assert numbers(aside) == numbers(set_aside(images, 0.12, seed=0)[1])
    assert numbers(aside) != numbers(set_aside(images, 0.12, seed=1)[1])


def test_set_aside_takes_no_more_than_half_of_a_class_and_mixes_them() -> None:
    left, aside = set_aside(numbered([4, 60, 60]), 0.5, seed=0)
    assert torch.bincount(left.labels).tolist() == [2, 39, 39]
    assert torch.bincount(aside.labels).tolist() == [2, 21, 21]
    assert aside.labels.tolist() != aside.labels.sort().values.tolist()
    with pytest.raises(DataError, match="at least two images of every class"):
        set_aside(numbered([1, 50]), 0.5, seed=0)


def _validated(num_validation: int, groups: torch.Tensor | None = None) -> Splits:
    """Splits of two classes whose images hold their own number."""

    def images(first: int, count: int, of: torch.Tensor | None = None) -> LabelledImages:
        pixels = torch.arange(first, first + count, dtype=torch.int64)
        stacked = torch.stack([pixels // 256, pixels % 256], dim=1).to(torch.uint8).view(count, 1, 1, 2)
        return LabelledImages(stacked, torch.arange(count) % 2, of)

    parts = images(0, 1000), images(1000, 100), images(2000, num_validation, groups), images(9000, 10)
    return Splits(*parts, class_names=("a", "b"), mean=(0.5,), std=(0.5,))


def _numbers(images: LabelledImages) -> set[int]:
    pairs = images.images.view(len(images), 2).long()
    return set((256 * pairs[:, 0] + pairs[:, 1]).tolist())


def test_final_splits_train_on_what_only_the_search_needed() -> None:
    splits = _validated(1200)
    final = final_splits(splits, DataConfig())
    assert len(final.validation) == 300
    assert len(final.train) == 1000 + 100 + 900
    assert _numbers(final.train) | _numbers(final.validation) == set(range(1000)) | set(range(1000, 1100)) | set(
        range(2000, 3200)
    )
    assert not _numbers(final.train) & _numbers(final.validation)
    assert torch.bincount(final.validation.labels).tolist() == [150, 150]
    assert final.test is splits.test
    assert _numbers(final_splits(splits, DataConfig()).validation) == _numbers(final.validation)


def test_final_splits_keep_few_validation_images_whole() -> None:
    splits = _validated(200)
    final = final_splits(splits, DataConfig())
    assert final.validation is final.calibration is splits.validation
    assert _numbers(final.train) == set(range(1100))


def test_final_splits_keep_groups_together() -> None:
    groups = torch.arange(1200) // 60
    final = final_splits(_validated(1200, groups), DataConfig())

    def classes_and_groups(images: LabelledImages) -> set[tuple[int, int]]:
        return {(number % 2, int(groups[number - 2000])) for number in _numbers(images) if number >= 2000}

    assert len(classes_and_groups(final.validation)) == 10
    assert not classes_and_groups(final.validation) & classes_and_groups(final.train)


def test_final_splits_keep_the_only_group_of_a_class() -> None:
    numbers = torch.arange(1200)
    groups = torch.where(numbers % 2 == 0, numbers // 60, 99)  # class b has one group
    final = final_splits(_validated(1200, groups), DataConfig())
    kept = torch.tensor([number - 2000 for number in _numbers(final.validation)])
    assert len(kept[kept % 2 == 1]) == 600
    assert len(torch.unique(groups[kept[kept % 2 == 0]])) == 1
    assert len(final.train) == 1100 + 1200 - len(kept)


def test_final_splits_train_on_calibration_images_if_every_class_has_one_group() -> None:
    splits = _validated(1200, torch.arange(1200) % 2)
    final = final_splits(splits, DataConfig())
    assert final.validation is splits.validation
    assert _numbers(final.train) == set(range(1100))
