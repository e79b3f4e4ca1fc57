"""The weight-sharing branches of a given backbone: one set of weights for every exit branch of a space.

The backbone is frozen. Its features are computed once per image, so that a step of training and an estimate cost only
what the branches cost.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aebnas_bo.seeding import torch_generator
from aebnas_bo.space.architecture import Architecture, Skeleton
from aebnas_bo.space.declaration import ExitChoices, NetworkSpaceDeclaration
from aebnas_bo.space.given_backbone import BackbonePoint
from aebnas_bo.space.plan import BranchPlan, ConvPlan, ReaderPlan, branch_plans
from aebnas_bo.supernet.elastic_layers import BATCH_NORM_EPS, ElasticClassifier, ElasticConvNorm, modules_of
from aebnas_bo.supernet.exit_branches import ElasticBranch
from aebnas_bo.supernet.feature_layout import FeatureLayout
from aebnas_bo.supernet.given_subnet import FeatureSubnet
from aebnas_bo.supernet.point_reader import as_maps
from aebnas_bo.supernet.weight_sharing import Supervised, WeightSharing

MAPS = "maps"  # name of the branch of a point that has no tokens to pool


class ElasticPointBranch(nn.Module):
    """All branches of an exit of a given backbone; every way to pool tokens has its own weights.

    Args:
        point: The point that it reads.
        choices: Choices of the branch.
        num_outputs: Outputs of its classifier.
        generator: Source of the initial weights.
    """

    def __init__(
        self, point: BackbonePoint, choices: ExitChoices, *, num_outputs: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.branches = nn.ModuleDict(
            {
                name: ElasticBranch(
                    point.channels, choices, num_outputs=num_outputs, generator=generator, is_below_frozen=True
                )
                for name in choices.poolings or (MAPS,)
            }
        )
        self.query = nn.Parameter(torch.zeros(point.channels, 1)) if "attention" in choices.poolings else None

    def branch_of(self, plan: BranchPlan) -> ElasticBranch:
        """Return the weights of the plan's way to pool."""
        return cast(ElasticBranch, self.branches[_reader(plan).pooling or MAPS])

    def query_of(self, plan: BranchPlan) -> Tensor | None:
        """Return the query of attention pooling, `D x 1`, if the plan pools by attention."""
        return self.query if _reader(plan).pooling == "attention" else None

    def forward(self, features: Tensor, plan: BranchPlan) -> Tensor:
        """Return the logits of the branch of a plan.

        Args:
            features: Features at the point, in its layout.
            plan: The branch.
        """
        maps = as_maps(features, _reader(plan), self.query_of(plan))
        maps = F.batch_norm(maps, None, None, training=True, eps=BATCH_NORM_EPS)
        logits: Tensor = self.branch_of(plan)(maps, plan)[0]
        return logits


class BranchSupernet(WeightSharing):
    """All branches of a space with a given backbone in one set of weights.

    Args:
        declaration: The space.
        skeleton: Its fixed part.
        seed: Seed of the initial weights.
    """

    def __init__(self, declaration: NetworkSpaceDeclaration, skeleton: Skeleton, seed: int) -> None:
        super().__init__(skeleton)
        generator = torch_generator(seed, "supernet", "weights")
        given = skeleton.given
        assert given is not None
        self.layout = FeatureLayout.of(skeleton)
        self.branches = nn.ModuleList(
            ElasticPointBranch(
                given.points[stage], choices, num_outputs=skeleton.exit_outputs, generator=generator
            )
            for stage, choices in zip(skeleton.exit_stages, declaration.exits, strict=True)
        )  # fmt: skip

    def supervised(self, images: Tensor, architecture: Architecture) -> Supervised:
        """Run the branches of a network on rows of features; see `WeightSharing.supervised`.

        Args:
            images: `B x F` rows, as `FeatureLayout` describes them.
            architecture: Network to use.
        """
        features, final = self.layout.split(images)
        plans = branch_plans(architecture, self.skeleton)
        outputs = [
            branch(one, plan)
            for branch, one, plan in zip(self.branches, features, plans, strict=True)
            if plan is not None
        ]
        return (*outputs, final), (None,) * len(outputs)

    def parts(self, architecture: Architecture) -> Iterator[tuple[ElasticConvNorm, ConvPlan]]:
        """Yield every convolution a network's branches use with what to slice from it."""
        for branch, plan in self._used(architecture):
            yield from branch.branch_of(plan).parts(plan)

    def classifiers(self, architecture: Architecture) -> Iterator[ElasticClassifier]:
        """Yield the classifiers of a network's branches."""
        for branch, plan in self._used(architecture):
            yield branch.branch_of(plan).classifier_of(plan)

    def queries(self, architecture: Architecture) -> Iterator[Tensor | None]:
        """Yield the query of every branch of a network; `None` where tokens are not pooled by attention."""
        for branch, plan in self._used(architecture):
            yield branch.query_of(plan)

    def plain(self, architecture: Architecture) -> FeatureSubnet:
        """Return the branches of a network as plain modules that read rows of features."""
        return FeatureSubnet(architecture, self.skeleton)

    def _used(self, architecture: Architecture) -> Iterator[tuple[ElasticPointBranch, BranchPlan]]:
        plans = branch_plans(architecture, self.skeleton)
        for branch, plan in zip(modules_of(self.branches, ElasticPointBranch), plans, strict=True):
            if plan is not None:
                yield branch, plan


def _reader(plan: BranchPlan) -> ReaderPlan:
    assert plan.reader is not None
    return plan.reader
