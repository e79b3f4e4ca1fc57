"""What the two kinds of supernets have in common: that of whole networks, and that of branches on a given backbone."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator

from torch import Tensor, nn

from aebnas_bo.space.architecture import Architecture, Skeleton
from aebnas_bo.space.plan import ConvPlan, SqueezePlan
from aebnas_bo.supernet.elastic_layers import ElasticClassifier, ElasticConvNorm, ElasticSqueeze
from aebnas_bo.supernet.subnet import Subnet

Supervised = tuple[tuple[Tensor, ...], tuple[Tensor | None, ...]]


class WeightSharing(nn.Module):
    """One set of weights for every network of a space; the architecture to run is an argument, never hidden state.

    Args:
        skeleton: The fixed part of the space.
    """

    def __init__(self, skeleton: Skeleton) -> None:
        super().__init__()
        self.skeleton = skeleton

    def forward(self, images: Tensor, architecture: Architecture) -> tuple[Tensor, ...]:
        """Run one network of the space on a batch, BatchNorm normalising by that batch.

        Args:
            images: `B x C x H x W`, normalised; `B x F` rows of features for a given backbone.
            architecture: Network to use.

        Returns:
            `B x K` logits of each active exit in order, then of the final classifier; those of exits with a learned
            confidence have its logit as one more column.
        """
        return self.supervised(images, architecture)[0]

    @abstractmethod
    def supervised(self, images: Tensor, architecture: Architecture) -> Supervised:
        """Run one network as `forward` does, for training.

        Returns:
            Its outputs, and for each active exit the logits that train the backbone in place of its branch's; `None`
            where the branch itself does, or the backbone is not trained.
        """

    @abstractmethod
    def parts(self, architecture: Architecture) -> Iterator[tuple[ElasticConvNorm, ConvPlan]]:
        """Yield every convolution a network uses with what to slice, in the order of `Subnet.conv_norms`."""

    @abstractmethod
    def classifiers(self, architecture: Architecture) -> Iterator[ElasticClassifier]:
        """Yield the classifiers a network uses, in the order of `Subnet.classifiers`."""

    @abstractmethod
    def plain(self, architecture: Architecture) -> Subnet:
        """Return a network of plain modules with random weights."""

    def squeezes(self, architecture: Architecture) -> Iterator[tuple[ElasticSqueeze, SqueezePlan]]:  # noqa: ARG002
        """Yield every squeeze-and-excitation a network uses with what to slice, in the order of `Subnet.squeezes`."""
        yield from ()

    def queries(self, architecture: Architecture) -> Iterator[Tensor | None]:  # noqa: ARG002
        """Yield the query of attention pooling of each branch that reads tokens, `None` where there is none."""
        yield from ()
