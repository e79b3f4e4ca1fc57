"""Loss and accuracy of each output on the training images of an epoch, for reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from aebnas_bo.space.architecture import Architecture

MOST_PENDING = 1_000_000  # logits that wait to be evaluated together


@dataclass(frozen=True)
class EpochOutput:
    """Figures of one output, averaged over the images of an epoch and the networks that have this output.

    Args:
        position: Position of the exit, from 0; `None` for the final classifier.
        loss: Mean cross-entropy with the labels, without label smoothing.
        accuracy: Accuracy in percent. Likeliest classes count as labels of mixed images.
    """

    position: int | None
    loss: float
    accuracy: float

    @property
    def name(self) -> str:
        """`exit1` for the first exit, `final` for the final classifier."""
        return "final" if self.position is None else f"exit{self.position + 1}"


@dataclass
class OutputMeter:
    """Collects the outputs of an epoch.

    Logits are evaluated in large groups and summed on their device, so that a step waits for nothing.
    """

    _pending: dict[int | None, list[tuple[Tensor, Tensor]]] = field(default_factory=dict)
    _num_pending: int = 0
    _sums: dict[int | None, Tensor] = field(default_factory=dict)

    def add(self, architecture: Architecture, outputs: Sequence[Tensor], targets: Tensor) -> None:
        """Add the outputs of a network for a batch of `B` images.

        Args:
            architecture: The network.
            outputs: Logits of its active exits and of the final classifier, `B x K` each; exits with a learned
                confidence have one more column.
            targets: `B` labels or `B x K` probabilities.
        """
        num_classes = outputs[-1].shape[-1]
        for position, logits in zip((*architecture.active_exits, None), outputs, strict=True):
            classes = logits.detach()[:, :num_classes]
            self._pending.setdefault(position, []).append((classes, targets))
            self._num_pending += classes.numel()
        if self._num_pending > MOST_PENDING:
            self._evaluate()

    def sums(self) -> Tensor:
        """Return the sums of loss, correct images and images of each output in the order of `figures`.

        Returns:
            An `E x 3` float64 tensor.
        """
        self._evaluate()
        return torch.stack([self._sums[position] for position in self._positions]) if self._sums else torch.zeros(0, 3)

    def figures(self, sums: Tensor | None = None) -> tuple[EpochOutput, ...]:
        """Return the figures of all outputs that were added, the final classifier last.

        Args:
            sums: Sums over all processes; `None` takes those of this one.
        """
        rows = (self.sums() if sums is None else sums).tolist()
        return tuple(
            EpochOutput(position, loss / count, 100.0 * correct / count)
            for position, (loss, correct, count) in zip(self._positions, rows, strict=True)
        )

    @property
    def _positions(self) -> list[int | None]:
        return [*sorted(position for position in self._sums if position is not None), *([None] if self._sums else [])]

    @torch.no_grad()
    def _evaluate(self) -> None:
        for position, pairs in self._pending.items():
            logits = torch.cat([logits for logits, _ in pairs]).float()
            targets = torch.cat([targets for _, targets in pairs])
            labels = targets if targets.ndim == 1 else targets.argmax(dim=-1)
            loss = F.cross_entropy(logits, targets, reduction="sum").double()
            correct = (logits.argmax(dim=-1) == labels).sum().double()
            sums = torch.stack([loss, correct, torch.full_like(loss, len(labels))])
            self._sums[position] = self._sums[position] + sums if position in self._sums else sums
        self._pending, self._num_pending = {}, 0
