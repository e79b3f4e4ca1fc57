"""Summary of the images before a long run: counts, properties, and warnings about likely mistakes."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from aebnas_bo.data.names import printable
from aebnas_bo.data.splits import Splits

NAMED = 5  # classes listed in a line or warning
LEAST_IMAGES = 10  # of a class
MOST_RATIO = 5.0  # size of the largest class over that of the smallest
ALIKE = 0.5  # share of identical images
LEAST_SPREAD = 2.0  # standard deviation of a pixel over the images, in grey levels, averaged over pixels
SAMPLE = 1000  # images used to measure the spread
UNEVEN = 1.05  # ratio of the sides above which a changed aspect ratio is reported


def image_line(splits: Splits) -> str:
    """Return one line on the images: their number, classes and properties, and the ignored files.

    Args:
        splits: Images of all splits.
    """
    counts, conversion = splits.origin.counts, splits.origin.conversion
    side, channels = splits.image_size, splits.in_channels
    parts = ", ".join(f"{len(images)} {name}" for name, images in _named_splits(splits))
    found = [
        f"images: {parts}; {_classes_text(splits)}; {channels} channel{'s' if channels > 1 else ''} of {side}x{side}"
    ]
    if not splits.origin.has_splits:
        found.append("no folder train/, so every folder with images is a class")
    if splits.has_own_validation:
        found.append("the data set has its own validation images")
    if counts.not_square and counts.typical_size:
        found.append(f"{counts.not_square} not square, such as {_size(counts.typical_size)} ({conversion.fit})")
    if counts.transparent:
        found.append(f"{counts.transparent} with transparency, on grey level {conversion.background}")
    if counts.sixteen_bits:
        black, white = conversion.sixteen_bits
        found.append(f"{counts.sixteen_bits} with 16 bits, {black} becomes black and {white} white")
    if splits.origin.passed_over:
        found.append(f"ignored: {', '.join(splits.origin.passed_over)}")
    return "; ".join(found)


def image_warnings(splits: Splits) -> list[str]:
    """Return a warning, with figures and advice, for each likely mistake in the images.

    Args:
        splits: Images of all splits.
    """
    found = [
        _alike(splits.train.images),
        _few(splits),
        _unbalanced(splits),
        _shapes(splits),
        _grey(splits),
        _lost_colours(splits),
    ]
    return [warning for warning in found if warning is not None]


def largest_share(splits: Splits) -> tuple[str, float]:
    """Return the largest class of the training images and its share of the test images in percent."""
    label = int(torch.tensor(_class_counts(splits)).argmax())
    return splits.class_names[label], 100.0 * float((splits.test.labels == label).double().mean())


def _named_splits(splits: Splits) -> list[tuple[str, Sequence[object]]]:
    names = ("train", "calibration", "validation", "test")
    return [(name, getattr(splits, name)) for name in names]


def _class_counts(splits: Splits) -> list[int]:
    """Return the number of images of each class in all splits except test."""
    labels = torch.cat([part.labels for part in (splits.train, splits.calibration, splits.validation)])
    return torch.bincount(labels, minlength=splits.num_classes).tolist()


def _classes_text(splits: Splits) -> str:
    counts = _class_counts(splits)
    if len(counts) <= NAMED:
        pairs = ", ".join(f"{name} {count}" for name, count in zip(splits.class_names, counts, strict=True))
        return f"without test: {printable(pairs)}"
    low, high = min(counts), max(counts)
    each = f"{low}" if low == high else f"{low} to {high}"
    return f"{len(counts)} classes of {each} images without test"


def _alike(images: Tensor) -> str | None:
    """Warn if most training images are identical, or all are nearly so."""
    pixels = images.cpu().contiguous().numpy()
    (_, most), *_ = Counter(hashlib.blake2b(one.tobytes(), digest_size=16).digest() for one in pixels).most_common(1)
    advice = "look at the files; transparency, 16-bit values or copies of one image are likely causes"
    if len(pixels) > 1 and most >= ALIKE * len(pixels):
        return f"{most} of {len(pixels)} training images are identical; {advice}"
    spread = float(np.std(pixels[:: -(-len(pixels) // SAMPLE)].astype(np.float32), axis=0).mean())
    if spread < LEAST_SPREAD:
        return f"training images differ by only {spread:.2g} of 255 grey levels on average; {advice}"
    return None


def _few(splits: Splits) -> str | None:
    counts = dict(zip(splits.class_names, _class_counts(splits), strict=True))
    few = sorted((count, name) for name, count in counts.items() if count < LEAST_IMAGES)
    if not few:
        return None
    named = ", ".join(f"{name} {count}" for count, name in few[:NAMED]) + (", ..." if len(few) > NAMED else "")
    return (
        f"{len(few)} of {len(counts)} classes have fewer than {LEAST_IMAGES} images for training and validation "
        f"together ({named}); estimates of their accuracy are unreliable; add images or remove these classes"
    )


def _unbalanced(splits: Splits) -> str | None:
    counts = _class_counts(splits)
    ratio = max(counts) / max(min(counts), 1)
    if ratio <= MOST_RATIO:
        return None
    smallest = splits.class_names[counts.index(min(counts))]
    largest, share = largest_share(splits)
    return (
        f"classes are imbalanced {ratio:.3g}:1 ({largest} {max(counts)}, {smallest} {min(counts)} images); always "
        f"predicting {largest} has an accuracy of {share:.1f} % on the test images: compare accuracies with that; set "
        "supernet.class_weights: balanced and final_training.class_weights: balanced to give rare classes more weight"
    )


def _shapes(splits: Splits) -> str | None:
    counts, conversion, side = splits.origin.counts, splits.origin.conversion, splits.image_size
    if counts.typical_size is None or conversion.fit != "squeeze":
        return None
    ratio = max(counts.typical_size) / min(counts.typical_size)
    if ratio < UNEVEN:
        return None
    return (
        f"{counts.not_square} of {counts.pictures} images are not square: the typical one has "
        f"{_size(counts.typical_size)} pixels and becomes {side}x{side}, squeezed by "
        f"{100.0 * (1.0 - 1.0 / ratio):.0f} % in one direction; set data.fit: letterbox or data.fit: crop to keep the "
        "aspect ratio"
    )


def _grey(splits: Splits) -> str | None:
    """Warn if all images are grey but have three channels: the first convolution then costs three times the MACs."""
    images = splits.train.images
    if images.shape[1] == 1 or not all(bool((one[:, :1] == one).all()) for one in torch.split(images, SAMPLE)):
        return None
    return (
        f"all {len(images)} training images are grey but have three channels, so the first convolution takes "
        "three times the MACs; set data.channels: 1"
    )


def _lost_colours(splits: Splits) -> str | None:
    counts = splits.origin.counts
    if not counts.lost_colours:
        return None
    return (
        f"{counts.lost_colours} of {counts.pictures} images are converted from colour to grey (data.channels: 1, or "
        "all training images are grey); set data.channels: 3 to keep the colours"
    )


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
