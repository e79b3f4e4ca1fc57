"""The model card: what a network is, how good it is, what it costs and where its limits are, in Markdown."""

from __future__ import annotations

from aebnas_bo.deploy.description import Figures, NetworkDescription
from aebnas_bo.deploy.per_class_accuracy import ClassAnswers, confusion_text
from aebnas_bo.space.macs import millions
from aebnas_bo.storage.count_text import counted

MOST_CLASSES = 20  # rows of the table of classes, the worst ones where there are more
MOST_CONFUSIONS = 10

RULES = {
    "each": "An image leaves at the first exit whose confidence reaches its threshold.",
    "cumulative": "An image leaves once the probability that this exit or one before it is to be left, exits taken for "
    "independent, reaches the exit's threshold.",
}
MEASURES = {
    "score_margin": "largest minus second largest softmax probability",
    "max_softmax": "largest softmax probability",
    "negative_entropy": "1 less the softmax's entropy as a share of the greatest possible",
    "learned": "an output of its own, trained to know when the answer is right",
}


def model_card(network: NetworkDescription, file: str) -> str:
    """Return the card of an exported network.

    Args:
        network: The network.
        file: Name of the file or folder to load.
    """
    origin, test = network.origin, network.test
    resolution, size, channels = network.architecture.resolution, network.image_size, network.skeleton.in_channels
    kind = {1: "grey", 3: "RGB"}.get(channels, f"{channels}-channel")
    seen = f" (looked at in {resolution} x {resolution})" if resolution != size else ""
    recipe = f", recipe {origin.recipe}" if origin.recipe else ""
    exits = len(network.outputs) - 1
    clear = "an image that is clear leaves early and costs less"
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
            f"| average cost | **{test.average_macs:.4g} M MACs** per image, branches passed on the way included "
            f"({test.average_macs_without_passed:.4g} M without them) |",
            f"| worst case | {test.worst_case_macs:.4g} M MACs, an image that never leaves early |",
            f"| validation accuracy | {network.validation.accuracy:.2f} % of the "
            f"{counted(network.validation.images, 'image')} that thresholds were tuned on; "
            "do not read it as a result |",
            "",
            "## Outputs",
            "",
            f"{RULES[network.exit_rule]} Confidence: {MEASURES[network.confidence]}.{_end(network)}",
            "",
            *_outputs(network, test),
            "",
            "ECE is the expected calibration error of the largest softmax probability (of a learned confidence: of "
            "that) in percent, in 15 bins. MACs are multiply-accumulate operations of convolutions and linear layers, "
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
            f"{counted(test.images, 'image')} that neither training nor tuning has seen.{_earlier_looks(network)}",
            "",
            "## Limits",
            "",
            f"* It answers with one of its {network.num_classes} classes whatever it is shown; it was never tested on "
            "images of another kind, and a confidence is no probability of being right.",
            "* Exit rates, and with them average cost, are those of images like the test images. Harder images leave "
            "later: plan for the worst case.",
            f"* Pictures of another size are resized to {size} x {size} pixels, whatever their shape.",
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
        "| output | threshold | MACs (M) | leaving (%) | right of all (%) | right of leaving (%) | ECE (%) |",
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
    return f" The network ends at {last.name}, which takes every image that is left; nothing behind it is run."


def _use(network: NetworkDescription, file: str) -> list[str]:
    if file.endswith(".pt2"):
        size = f"{network.skeleton.in_channels}, {network.image_size}, {network.image_size}"
        return [
            "import torch",
            "",
            "# A PyTorch program can run code of the person who made it: load it only if you trust that person.",
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
        "measured on them before. If this one was chosen for its test accuracy, that accuracy is too high."
    )


def _reference(network: NetworkDescription) -> list[str]:
    answers = network.test.by_class
    if answers is None:
        return []
    return [
        f"| for reference | always answering {_plain(network.class_names[answers.largest_class])}, the largest class, "
        f"is right for {answers.largest_class_accuracy:.2f} % of the test images; chance is "
        f"{100.0 / network.num_classes:.2f} % |"
    ]


def _classes(network: NetworkDescription) -> list[str]:
    answers = network.test.by_class
    if answers is None:
        return []
    shown = answers.worst_first()[:MOST_CLASSES]
    hidden = sum(count > 0 for count in answers.images) - len(shown)
    names = [_plain(name) for name in network.class_names]
    confusions = [f"* {confusion_text(one, answers, names)}" for one in answers.confusions[:MOST_CONFUSIONS]]
    return [
        "## Classes",
        "",
        "Test images, lowest accuracy first"
        + (f"; {counted(hidden, 'other class', 'other classes')} not shown." if hidden else "."),
        "",
        "| class | images | right (%) |",
        "|---|---|---|",
        *(f"| {names[label]} | {answers.images[label]} | {_right(answers, label)} |" for label in shown),
        "",
        *(["Most frequent confusions:", "", *confusions, ""] if confusions else []),
    ]


def _right(answers: ClassAnswers, label: int) -> str:
    return f"{100.0 * answers.right[label] / answers.images[label]:.2f}"


def _listed(names: tuple[str, ...], most: int = 12) -> str:
    shown = ", ".join(_plain(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def _plain(name: str) -> str:
    """Return a class name that Markdown leaves alone."""
    return "".join(f"\\{character}" if character in "\\`*_{}[]<>()#+!|" else character for character in name)
