"""Segments of a trained network between its exits, to run step by step or to export.

Legend: `B` images, `K` classes, `E` outputs in use (exits in order, the last of which may be the final classifier).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aebnas_bo.deploy.description import NetworkDescription, Output
from aebnas_bo.early_exit.confidence import confidence
from aebnas_bo.early_exit.exit_ensemble import weighted_sum
from aebnas_bo.early_exit.exit_rule import leaves, next_certainty
from aebnas_bo.supernet.subnet import Subnet


class Preparation(nn.Module):
    """Normalisation, then resizing to the network's resolution as two matrix products.

    Antialiased resizing is linear in each direction; as a matrix product it gives equal results in all runtimes.

    Args:
        description: Means, standard deviations and sizes.
    """

    def __init__(self, description: NetworkDescription) -> None:
        super().__init__()
        size, resolution = description.image_size, description.architecture.resolution
        self.mean: Tensor
        self.std: Tensor
        self.matrix: Tensor
        self.register_buffer("mean", torch.tensor(description.mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(description.std).view(1, -1, 1, 1))
        self.is_resizing = size != resolution
        if self.is_resizing:
            unit = torch.eye(size)[None, None]
            matrix = F.interpolate(unit, (resolution, size), mode="bilinear", antialias=True, align_corners=False)
            self.register_buffer("matrix", matrix[0, 0])

    def forward(self, images: Tensor) -> Tensor:
        """Map `B x C x S x S` pixels in [0, 1] to the input of the stem."""
        floats: Tensor = (images - self.mean) / self.std
        return self.matrix @ floats @ self.matrix.T if self.is_resizing else floats


class Segment(nn.Module):
    """Part of a network from one exit to the next.

    Args:
        body: Layers from the features of the previous exit (first segment: from pixels) to the features of this output.
        classifier: This output's branch, or the head.
    """

    def __init__(self, body: nn.Module, classifier: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.classifier = classifier

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features for the next segment and the logits of this output.

        Logits are `B x K`, or `B x (K + 1)` with learned confidence.
        """
        features = self.body(features)
        return features, self.classifier(features)


def segments(subnet: Subnet, description: NetworkDescription) -> list[Segment]:
    """Split a network at the `E` outputs in use, and leave out the layers that are not run.

    Layers that are not run are the branches of switched-off exits and, if the network ends at an exit, later layers.

    Args:
        subnet: The network, in evaluation mode.
        description: Description with the outputs in use.
    """
    pieces: list[nn.Module] = [Preparation(description), subnet.stem]
    found, first = [], 0
    for output in description.outputs:
        stage = last_stage(output, description)
        classifier = subnet.head if output.is_final else subnet.branches[str(stage)]
        found.append(Segment(nn.Sequential(*pieces, *subnet.stages[first : stage + 1]), classifier))
        pieces, first = [], stage + 1
    return [segment.eval() for segment in found]


def last_stage(output: Output, description: NetworkDescription) -> int:
    """Return the stage, from 0, whose features an output reads."""
    if not output.is_final:
        return description.skeleton.exit_stages[output.position]
    given = description.skeleton.given
    return len(description.architecture.stages if given is None else given.points) - 1


def drop_tail(subnet: Subnet, description: NetworkDescription) -> None:
    """Remove the layers behind the last output in use from a network, in place.

    The network can then be run by its segments only.

    Args:
        subnet: The network.
        description: Description with the outputs in use.
    """
    last = description.outputs[-1]
    if last.is_final:
        return
    stage = last_stage(last, description)
    subnet.stages = subnet.stages[: stage + 1]
    subnet.branches = nn.ModuleDict({name: one for name, one in subnet.branches.items() if int(name) <= stage})
    subnet.head = nn.Sequential()


def predicting_logits(logits: Sequence[Tensor], description: NetworkDescription, output: int) -> Tensor:
    """Return the logits that prediction and confidence of an output follow, `B x K`, or `B x (K + 1)`.

    Args:
        logits: Logits of each output in use up to this one, for the images that reach it; without an exit ensemble, the
            last suffices.
        description: Weights of the outputs.
        output: Number of the output, from 0.
    """
    weights = description.outputs[output].weights
    return weighted_sum(logits, weights) if weights else logits[-1]


def output_confidence(logits: Tensor, description: NetworkDescription, output: int) -> Tensor:
    """Return the confidence of an output for each image, `B` values in [0, 1].

    The final classifier has no learned confidence; its largest softmax probability is used instead.

    Args:
        logits: The output's `predicting_logits`.
        description: Confidence measure and temperatures.
        output: Number of the output, from 0.
    """
    scaled, num_classes = logits / description.outputs[output].temperature, description.num_classes
    is_final_without = description.confidence == "learned" and logits.shape[-1] == num_classes
    return confidence(scaled, "max_softmax" if is_final_without else description.confidence, num_classes)


class EarlyExitNetwork(nn.Module):
    """Network for single images that stops at the exit at which the image leaves.

    It uses `torch.cond`, which exporters convert to conditional branches.

    Args:
        parts: Its segments.
        description: Thresholds, confidence measure and exit rule.
    """

    def __init__(self, parts: Sequence[Segment], description: NetworkDescription) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.description = description

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run one image.

        Args:
            image: `1 x C x S x S` pixels in [0, 1].

        Returns:
            Logits `1 x K`, confidence `1` and index of the output at which the image left, `1` (int64, from 0).
        """
        return self._run_from(0, image, torch.ones_like(image[:, 0, 0, 0]), earlier=None)

    def _run_from(
        self, number: int, features: Tensor, doubt: Tensor, *, earlier: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Continue from an output.

        Args:
            number: Number of the output, from 0.
            features: Features for its segment.
            doubt: Product of `1 - confidence` over the exits so far.
            earlier: Logits of the exits so far, `1 x number x K`; one tensor, because exporters fail with several.
        """
        passed_on, own = self.parts[number](features)
        before = () if earlier is None or not self.description.has_ensemble else earlier.unbind(1)
        logits = predicting_logits((*before, own), self.description, number)
        passed = torch.stack((*before, own), dim=1)  # a copy: exporters refuse inputs of branches that share memory
        sure = output_confidence(logits, self.description, number)
        num_classes = self.description.num_classes
        # A slice would keep the stride of the longer row, and exported branches must have equal strides.
        answer = logits if logits.shape[1] == num_classes else logits.index_select(1, torch.arange(num_classes))
        left_at = torch.full((1,), number, dtype=torch.int64)
        if number == len(self.parts) - 1:
            return answer.clone(), sure.clone(), left_at
        certainty, doubt = next_certainty(sure, doubt, self.description.exit_rule)

        def leave(at_exit: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
            left_at = torch.full((1,), number, dtype=torch.int64)
            return at_exit["answer"].clone(), at_exit["sure"].clone(), left_at

        def go_on(at_exit: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
            return self._run_from(number + 1, at_exit["features"], at_exit["doubt"], earlier=at_exit["passed"])

        is_sure = leaves(certainty, self.description.thresholds[number]).all()
        at_exit = {"features": passed_on, "answer": answer, "sure": sure, "doubt": doubt, "passed": passed}
        found: tuple[Tensor, Tensor, Tensor] = torch.cond(is_sure, leave, go_on, (at_exit,))
        return found
