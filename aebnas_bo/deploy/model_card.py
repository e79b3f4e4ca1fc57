"""Model card in Markdown: purpose, accuracy, cost and limits of a network."""

from __future__ import annotations

from aebnas_bo.deploy.description import Figures, NetworkDescription
from aebnas_bo.deploy.per_class_accuracy import ClassPredictions, confusion_text
from aebnas_bo.space.macs import millions
from aebnas_bo.storage.count_text import counted

MOST_CLASSES = 20  # maximum rows in the table of classes, lowest accuracy first
MOST_CONFUSIONS = 10

RULES = {
    "each": "An image leaves at the first exit whose confidence reaches its threshold.",
    "cumulative": "An image leaves once the probability of leaving at this exit or an earlier one, assuming "
    "independent exits, reaches the exit's threshold.",
}
MEASURES = {
    "score_margin": "largest minus second largest softmax probability",
    "max_softmax": "largest softmax probability",
    "negative_entropy": "1 minus the normalised entropy of the softmax",
    "learned": "a separate output, trained to predict whether the prediction is correct",
}
TOGETHER = (
    " Outputs predict together with those before them: prediction, confidence and the figures below follow a weighted "
    "sum of their logits."
)


def model_card(network: NetworkDescription, file: str) -> str:
    """Return the model card of an exported network.

    Args:
        network: The network.
        file: Name of the file or folder of the network.
    """
    origin, test = network.origin, network.test
    resolution, size, channels = network.architecture.resolution, network.image_size, network.skeleton.in_channels
    kind = {1: "grey", 3: "RGB"}.get(channels, f"{channels}-channel")
    seen = f" (processed at {resolution} x {resolution})" if resolution != size else ""
    recipe = f", recipe {origin.recipe}" if origin.recipe else ""
    exits = len(network.outputs) - 1
    clear = "easy images leave early and cost less"
    return "\n".join(
        [
            f"# Early-exit network `{network.key}`" if exits else f"# Network `{network.key}`",
            "",
            f"Classifies {kind} images of {size} x {size} pixels{seen} into "
            f"{counted(network.num_classes, 'class', 'classes')}: {_listed(network.class_names)}. It has "
            + (f"{counted(exits, 'early exit')}: {clear}." if exits else "no early exits."),
            "",
            "| | |",
            "|---|---|",
            f"| test accuracy | **{test.accuracy:.2f} %** ± {test.accuracy_sem:.2f} (binomial standard error, "
            f"{counted(test.images, 'image')}) |",
            *_reference(network),
            *([f"| original network | the network {network.kept_text} |"] if network.kept_text else []),
            f"| average cost | **{test.average_macs:.4g} M MACs** per image, including branches of earlier exits "
            f"({test.average_macs_without_passed:.4g} M without them) |",
            f"| worst case | {test.worst_case_macs:.4g} M MACs, for an image that does not leave early |",
            f"| validation accuracy | {network.validation.accuracy:.2f} % of the "
            f"{counted(network.validation.images, 'image')} that thresholds were tuned on; "
            "biased upwards, so not a result |",
            "",
            "## Outputs",
            "",
            f"{RULES[network.exit_rule]} Confidence: {MEASURES[network.confidence]}."
            f"{TOGETHER if network.has_ensemble else ''}{_end(network)}",
            "",
            *_outputs(network, test),
            "",
            "ECE is the expected calibration error in percent (15 bins) of the largest softmax probability, or of the "
            "learned confidence. MACs are multiply-accumulate operations of convolutions and linear layers, "
            "half of what `torch.utils.flop_counter` reports.",
            "",
            *_classes(network),
            "## Data and training",
            "",
            f"Trained on {counted(origin.train_images, 'image')} of `{origin.dataset}` for "
            f"{counted(origin.epochs, 'epoch')}, starting from "
            f"{'the weights of a supernet on the same images' if origin.start == 'supernet' else 'random weights'}, "
            f"seed {origin.seed}{recipe}, by aebnas_bo {origin.version} in the study `{origin.study}`. Thresholds were "
            f"tuned on {counted(network.validation.images, 'other image')}, and the figures above are from "
            f"{counted(test.images, 'image')} used neither for training nor for tuning.{_earlier_looks(network)}",
            "",
            "## Limits",
            "",
            f"* The network predicts one of its {network.num_classes} classes for every input. It was not tested on "
            "other kinds of images, and its confidence is not a probability of being correct.",
            "* Exit rates and average cost hold for images like the test images. Harder images leave later: plan for "
            "the worst case.",
            f"* Pictures of another size are resized to {size} x {size} pixels without keeping the aspect ratio.",
            "",
            "## Use",
            "",
            "```python",
            *_use(network, file),
            "```",
            "",
        ]
    )


def _outputs(network: NetworkDescription, test: Figures) -> list[str]:
    lines = [
        "| output | threshold | MACs (M) | exit rate (%) | accuracy, all (%) | accuracy, leaving (%) | ECE (%) |",
        "|---|---|---|---|---|---|---|",
    ]
    for output, figures in zip(network.outputs, test.outputs, strict=True):
        threshold = "–" if output.threshold is None else f"{output.threshold:.4f}"
        leaving = "–" if figures.accuracy_of_leaving is None else f"{figures.accuracy_of_leaving:.2f}"
        lines.append(
            f"| {output.title} | {threshold} | {millions(output.macs):.4g} | {100 * figures.exit_rate:.1f} | "
            f"{figures.accuracy:.2f} | {leaving} | {figures.calibration_error:.2f} |"
        )
    return lines


def _end(network: NetworkDescription) -> str:
    last = network.outputs[-1]
    if last.is_final:
        return ""
    return f" The network ends at {last.name}, which takes all remaining images; later layers are not run."


def _use(network: NetworkDescription, file: str) -> list[str]:
    if file.endswith(".pt2"):
        size = f"{network.skeleton.in_channels}, {network.image_size}, {network.image_size}"
        return [
            "import torch",
            "",
            "# A PyTorch program can execute arbitrary code: load it only if you trust its author.",
            f'network = torch.export.load("{file}").module()',
            f"image = torch.rand(1, {size})  # one image, pixels in [0, 1]",
            "logits, confidence, exit_index = network(image)",
        ]
    return [
        "from aebnas_bo.deploy import load",
        "",
        f'network = load("{file}")',
        'predictions = network.predict(["picture.png"])',
        "print(network.description.class_names[predictions.labels[0]], predictions.confidences[0])",
    ]


def _earlier_looks(network: NetworkDescription) -> str:
    others = network.earlier_test_looks
    if others is None:
        return ""
    if not others:
        return " No other network of the study had been measured on them before."
    return (
        f" {counted(others, 'other network')} of the study (architecture, seed, recipe or thresholds) had been "
        "measured on them before. If this one was chosen for its test accuracy, that accuracy is biased upwards."
    )


def _reference(network: NetworkDescription) -> list[str]:
    predictions = network.test.by_class
    if predictions is None:
        return []
    return [
        f"| for reference | predicting the largest class, {_plain(network.class_names[predictions.largest_class])}, "
        f"for every image is correct for {predictions.largest_class_accuracy:.2f} % of the test images; chance is "
        f"{100.0 / network.num_classes:.2f} % |"
    ]


def _classes(network: NetworkDescription) -> list[str]:
    predictions = network.test.by_class
    if predictions is None:
        return []
    shown = predictions.worst_first()[:MOST_CLASSES]
    hidden = sum(count > 0 for count in predictions.images) - len(shown)
    names = [_plain(name) for name in network.class_names]
    confusions = [f"* {confusion_text(one, predictions, names)}" for one in predictions.confusions[:MOST_CONFUSIONS]]
    return [
        "## Classes",
        "",
        "Test images, lowest accuracy first"
        + (f"; {counted(hidden, 'other class', 'other classes')} not shown." if hidden else "."),
        "",
        "| class | images | accuracy (%) |",
        "|---|---|---|",
        *(f"| {names[label]} | {predictions.images[label]} | {_percent(predictions, label)} |" for label in shown),
        "",
        *(["Most frequent confusions:", "", *confusions, ""] if confusions else []),
    ]


def _percent(predictions: ClassPredictions, label: int) -> str:
    return f"{100.0 * predictions.correct[label] / predictions.images[label]:.2f}"


def _listed(names: tuple[str, ...], most: int = 12) -> str:
    shown = ", ".join(_plain(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def _plain(name: str) -> str:
    """Escape a class name for Markdown."""
    return "".join(f"\\{character}" if character in "\\`*_{}[]<>()#+!|" else character for character in name)
