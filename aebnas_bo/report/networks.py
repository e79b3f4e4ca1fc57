"""Networks shown in detail in a report: cost of parts, exit rates, and the effect of other thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from aebnas_bo.analysis.front_correction import thresholds_of
from aebnas_bo.early_exit.exit_rule import ExitTable, OutputOutcome, outcomes_by_output
from aebnas_bo.early_exit.outputs_in_use import outputs_in_use, rows_in_use
from aebnas_bo.early_exit.threshold_grid import evaluate_grid
from aebnas_bo.search.trial import Observation
from aebnas_bo.space.architecture import Architecture
from aebnas_bo.space.given_backbone import GivenBackbone
from aebnas_bo.space.macs import MACS_PER_MILLION, ExitCosts, exit_costs
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.space.plan import BranchPlan, NetworkPlan, branch_plans, network_plan

SWEEP_STEPS = 101  # thresholds from 0 to 1, and equally many quantiles of the confidences


@dataclass(frozen=True)
class ShownOutput:
    """Output of a shown network.

    Args:
        name: `Exit 1` ... by position in the space, or `Final classifier`.
        threshold: Confidence from which images leave here; `None` for the last output.
        macs: MACs of an image that leaves here.
        exit_rate: Fraction of images that leave here; `None` if it was not measured.
        outcome: Accuracy at this output; `None` if the network's exit table is not available.
    """

    name: str
    threshold: float | None
    macs: int
    exit_rate: float | None
    outcome: OutputOutcome | None


@dataclass(frozen=True)
class ThresholdSweep:
    """Figures of a network as the threshold of one exit varies and the others stay fixed.

    Args:
        name: Name of the exit.
        chosen: Its threshold.
        thresholds: Thresholds tried, ascending.
        accuracies: Accuracy in percent at each of them.
        average_macs: Average MACs in millions at each of them.
    """

    name: str
    chosen: float
    thresholds: tuple[float, ...]
    accuracies: tuple[float, ...]
    average_macs: tuple[float, ...]


@dataclass(frozen=True)
class ShownNetwork:
    """Network of the study that the report shows in detail.

    Args:
        title: Reason of its selection.
        observed: The observation.
        architecture: The network, without exits that tuning switched off or that lie behind its end.
        switched_off: Names of the exits that tuning switched off.
        last_stage: Last stage, from 0, that is run.
        costs: MACs of the network.
        backbone: The convolutions of its backbone, or a given backbone.
        branches: Its branches in order.
        outputs: Outputs in use in order; the last is the final classifier, or an exit at which the network ends.
        sweeps: One per exit in use; empty if the network's exit table is not available.
        has_table: Whether the network's exit table is available.
    """

    title: str
    observed: Observation
    architecture: Architecture
    switched_off: tuple[str, ...]
    last_stage: int
    costs: ExitCosts
    backbone: NetworkPlan | GivenBackbone
    branches: tuple[BranchPlan, ...]
    outputs: tuple[ShownOutput, ...]
    sweeps: tuple[ThresholdSweep, ...]
    has_table: bool

    @property
    def ends_at_exit(self) -> bool:
        """Whether the last output is an exit, so that later layers are not run."""
        return len(self.outputs) == len(self.costs.exits)


def show_network(title: str, observed: Observation, space: NetworkSpace, *, measured: ExitTable | None) -> ShownNetwork:
    """Collect the figures of a network to show.

    Args:
        title: Reason of its selection.
        observed: The observation.
        space: The network space.
        measured: Its exit table with all its exits, or `None`.
    """
    whole = space.architecture(observed.parameters)
    whole_costs, thresholds = exit_costs(whole, space.skeleton), thresholds_of(observed, space)
    rows = rows_in_use(thresholds)
    off = [position for row, position in enumerate(whole.active_exits) if row not in rows]
    exits = tuple(None if position in off else branch for position, branch in enumerate(whole.exits))
    architecture = replace(whole, exits=exits)
    costs = exit_costs(architecture, space.skeleton)
    kept = [threshold for row in rows[:-1] if (threshold := thresholds[row]) is not None]
    names = [*(f"Exit {position + 1}" for position in costs.exits), "Final classifier"][: len(rows)]
    last_exit = costs.exits[-1] if len(costs.exits) == len(rows) else None
    macs = costs.cumulative[: len(rows)]
    table = None
    outcomes: Sequence[OutputOutcome | None] = [None] * len(names)
    if measured is not None:
        table = outputs_in_use(measured, thresholds, backbone=whole_costs.backbone, branches=whole_costs.branches).table
        outcomes = outcomes_by_output(table, kept)
    outputs = [*(space.output_names[position] for position in costs.exits), space.output_names[-1]]
    rates = [observed.point.exit_rates.get(output) for output in outputs]
    return ShownNetwork(
        title=title,
        observed=observed,
        architecture=architecture,
        switched_off=tuple(f"exit {position + 1}" for position in off if last_exit is None or position < last_exit),
        last_stage=len(costs.stages) - 1 if last_exit is None else space.skeleton.exit_stages[last_exit],
        costs=costs,
        backbone=space.skeleton.given or network_plan(architecture, space.skeleton),
        branches=tuple(branch for branch in branch_plans(architecture, space.skeleton) if branch is not None),
        outputs=tuple(
            ShownOutput(*row) for row in zip(names, [*kept, None], macs, rates[: len(rows)], outcomes, strict=True)
        ),
        sweeps=() if table is None else _sweeps(table, names, kept),
        has_table=table is not None,
    )


def _sweeps(table: ExitTable, names: Sequence[str], chosen: Sequence[float]) -> tuple[ThresholdSweep, ...]:
    steps, num_images = torch.linspace(0.0, 1.0, SWEEP_STEPS, dtype=torch.float64), table.confidence.shape[1]
    certainty = table.certainty.double()
    sweeps = []
    for position, threshold in enumerate(chosen):
        grids = [torch.tensor([one], dtype=torch.float64) for one in chosen]
        quantiles = torch.quantile(certainty[position], steps)  # finer steps where confidences are dense
        grids[position] = torch.cat([steps, quantiles, grids[position]]).unique()  # type: ignore[no-untyped-call]
        outcome = evaluate_grid(table, grids)
        sweeps.append(
            ThresholdSweep(
                name=names[position],
                chosen=threshold,
                thresholds=tuple(grids[position].tolist()),
                accuracies=tuple((100.0 * outcome.num_right.double() / num_images).tolist()),
                average_macs=tuple((outcome.total_macs.double() / (num_images * MACS_PER_MILLION)).tolist()),
            )
        )
    return tuple(sweeps)
