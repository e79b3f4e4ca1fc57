"""Estimator with shared weights: extract the subnet, run it on calibration and validation images, apply thresholds."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch

from aebnas_bo.early_exit.calibrated_output import Calibration
from aebnas_bo.early_exit.exit_rule import ExitOutcome, ExitTable, evaluate_thresholds, mean_cost
from aebnas_bo.early_exit.outputs_in_use import outputs_in_use
from aebnas_bo.early_exit.threshold_grid import spread_thresholds
from aebnas_bo.early_exit.threshold_tuning import TuningGoal, tune_thresholds
from aebnas_bo.errors import EstimationError
from aebnas_bo.estimation.cost_objective import CostObjective, costs_of
from aebnas_bo.estimation.estimate import Estimate, Measurement, OperatingPoint
from aebnas_bo.estimation.measuring import MeasuringImages, measure
from aebnas_bo.estimation.settings import EstimationConfig
from aebnas_bo.estimation.table_store import MeasuredNetwork, TableStore
from aebnas_bo.space.architecture import Architecture
from aebnas_bo.space.macs import exit_costs, millions
from aebnas_bo.space.network_space import NetworkSpace, threshold_name
from aebnas_bo.space.search_space import ContinuousParameter, Point, SearchSpace
from aebnas_bo.supernet.batchnorm import calibrate_batchnorm, is_statistic
from aebnas_bo.supernet.extraction import extract
from aebnas_bo.supernet.folding import fold_batchnorm
from aebnas_bo.supernet.subnet import Subnet
from aebnas_bo.supernet.weight_sharing import WeightSharing

CACHED_NETWORKS = 512  # with 10,000 images and 5 outputs, a table takes 250 kB and statistics about 50 kB
CALIBRATION_BATCH = 256


@dataclass(frozen=True)
class SharedWeights:
    """Trained supernet with the networks evaluated on its weights.

    Args:
        supernet: The trained supernet.
        store: Store of evaluated networks on disk; `None` keeps them in memory only.
    """

    supernet: WeightSharing
    store: TableStore | None = None


class SupernetEstimator:
    """Estimates accuracy and average MACs of any point of a network space.

    BatchNorm statistics and the table of confidence and correctness are computed once per architecture; other
    thresholds then need no forward pass.

    Args:
        space: The network space.
        weights: The shared weights.
        images: Calibration and validation images.
        config: Confidence measure, exit rule and batch size.
        goal: Goal of threshold tuning; needed if the space has no threshold parameters.
        costs: Additional costs, each averaged over images.
    """

    def __init__(
        self,
        space: NetworkSpace,
        weights: SharedWeights,
        images: MeasuringImages,
        *,
        config: EstimationConfig,
        goal: TuningGoal | None = None,
        costs: Sequence[CostObjective] = (),
    ) -> None:
        self.space, self.weights, self.images = space, weights, images
        self.config, self.goal, self.costs = config, goal, tuple(costs)
        self._known: OrderedDict[str, MeasuredNetwork] = OrderedDict()
        self._known_further: OrderedDict[str, tuple[OperatingPoint, ...]] = OrderedDict()

    @property
    def search_space(self) -> SearchSpace:
        """The flat search space of the estimator."""
        return self.space.search_space

    def estimate(self, point: Point) -> Estimate:
        """Return accuracy (percent), average MACs (millions), additional costs, exit rates and calibrations.

        Additional costs have their own units; exit rates are fractions of images.

        Raises:
            SearchSpaceError: If the point does not belong to the space.
            EstimationError: If the network's outputs are not finite.
        """
        architecture = self.space.architecture(point)
        if self.space.tunes_thresholds:
            return self._tuned_estimate(architecture)
        thresholds = self.space.thresholds(point)
        outcome = evaluate_thresholds(self.exit_table(architecture), thresholds)
        return Estimate(
            key=architecture.key,
            metrics=self._metrics(architecture, outcome),
            exit_rates=self._exit_rates(architecture.active_exits, outcome),
            thresholds=_named(architecture, thresholds),
            calibrations=self._calibrations(architecture),
            further=self._further(architecture) if self.space.has_free_thresholds else (),
        )

    def _tuned_estimate(self, architecture: Architecture) -> Estimate:
        """Evaluate a network at its tuned thresholds."""
        tuned = self.tuned_thresholds(architecture)
        costs = exit_costs(architecture, self.space.skeleton)
        table = self.exit_table(architecture)
        used = outputs_in_use(table, tuned, backbone=costs.backbone, branches=costs.branches)
        outcome = evaluate_thresholds(used.table, used.thresholds)
        kept = tuple(k for row, k in enumerate(architecture.active_exits) if row in used.rows)
        exits = tuple(branch if k in kept else None for k, branch in enumerate(architecture.exits))
        return Estimate(
            key=architecture.key,
            metrics=self._metrics(replace(architecture, exits=exits), outcome),
            exit_rates=self._exit_rates(kept, outcome),
            thresholds=_named(architecture, tuned),
            calibrations=self._calibrations(architecture),
        )

    def tuned_thresholds(self, architecture: Architecture) -> tuple[float | None, ...]:
        """Tune the thresholds of a network's active exits for the goal.

        The threshold is `None` for exits that are switched off or lie behind the end of the network, and 0 for an exit
        at which the network ends.

        Raises:
            EstimationError: If the network's outputs are not finite, or there is no goal.
        """
        if self.goal is None:
            raise EstimationError("this space has no threshold parameters; pass a tuning goal to the estimator")
        costs = exit_costs(architecture, self.space.skeleton)
        table, may_switch_off = self.exit_table(architecture), self.config.tuning.may_switch_off
        found = tune_thresholds(
            table, backbone=costs.backbone, branches=costs.branches, goal=self.goal, may_switch_off=may_switch_off
        )
        return found.thresholds

    def _exit_rates(self, exits: Sequence[int], outcome: ExitOutcome) -> dict[str, float]:
        """Return the exit rate of each output; 0 for exits that are not run."""
        names = self.space.output_names
        used = [*(names[position] for position in exits), names[-1]]
        # A network may end at its last exit.
        return dict.fromkeys(names, 0.0) | dict(zip(used, outcome.exit_rates, strict=False))

    def _calibrations(self, architecture: Architecture) -> Mapping[str, Calibration]:
        """Return the calibration of each output of a network."""
        names = self.space.output_names
        outputs = [*(names[position] for position in architecture.active_exits), names[-1]]
        return dict(zip(outputs, self._measured(architecture).calibrations, strict=False))  # may be empty

    def _further(self, architecture: Architecture) -> tuple[OperatingPoint, ...]:
        """Return the network's non-dominated operating points, which are equal for all its points."""
        known = self._known_further.get(architecture.key)
        if known is not None:
            return known
        table, names = self.exit_table(architecture), [threshold_name(k) for k in architecture.active_exits]
        parameters = [cast(ContinuousParameter, self.search_space[name]) for name in names]
        found = []
        ranges = [(parameter.lower, parameter.upper) for parameter in parameters]
        for thresholds in spread_thresholds(table, ranges, self.config.further_settings):
            outcome = evaluate_thresholds(table, thresholds)
            measured = self._metrics(architecture, outcome)
            found.append(
                OperatingPoint(
                    metrics={name: measurement.mean for name, measurement in measured.items()},
                    sems={name: measurement.sem for name, measurement in measured.items()},
                    exit_rates=self._exit_rates(architecture.active_exits, outcome),
                    thresholds=_named(architecture, thresholds),
                    calibrations=self._calibrations(architecture),
                )
            )
        self._known_further[architecture.key] = tuple(found)
        if len(self._known_further) > CACHED_NETWORKS:
            self._known_further.popitem(last=False)
        return tuple(found)

    def exit_table(self, architecture: Architecture) -> ExitTable:
        """Return the network's exit table over the validation split, computed on first use.

        Raises:
            EstimationError: If the network's outputs are not finite.
        """
        return self._measured(architecture).table

    def network(self, architecture: Architecture) -> Subnet:
        """Return the network with shared weights and its calibrated BatchNorm statistics, in evaluation mode.

        Raises:
            EstimationError: If the network's outputs are not finite.
        """
        measured = self._measured(architecture)
        subnet = extract(self.weights.supernet, architecture)
        subnet.load_state_dict(measured.statistics, strict=False)
        return subnet.eval()

    def _measured(self, architecture: Architecture) -> MeasuredNetwork:
        """Look up a network in memory, then in the folder; evaluate it if it is in neither."""
        key = architecture.key
        measured = self._known.get(key)
        if measured is None and self.weights.store is not None:
            measured = self.weights.store.load(key)
        if measured is None:
            measured = self._measure(architecture)
            if self.weights.store is not None:
                self.weights.store.save(key, measured)
        self._known[key] = measured
        self._known.move_to_end(key)
        if len(self._known) > CACHED_NETWORKS:
            self._known.popitem(last=False)
        return measured

    @torch.no_grad()
    def _measure(self, architecture: Architecture) -> MeasuredNetwork:
        """Run a network over calibration images, then over validation images, in fixed order."""
        subnet = extract(self.weights.supernet, architecture)
        calibrate_batchnorm(subnet, self.images.calibration_images, CALIBRATION_BATCH)
        statistics = {name: tensor.clone() for name, tensor in subnet.state_dict().items() if is_statistic(name)}
        fold_batchnorm(subnet)
        macs = exit_costs(architecture, self.space.skeleton).cumulative
        table, calibrations = measure(subnet, self.images, macs=macs, key=architecture.key, config=self.config)
        return MeasuredNetwork(table, statistics, calibrations)

    def _metrics(self, architecture: Architecture, outcome: ExitOutcome) -> dict[str, Measurement]:
        """Return the metrics of a network with all its exits in use; it may end at its last exit."""
        macs, macs_sem = millions(outcome.average_macs), millions(outcome.average_macs_sem)
        metrics = {
            "accuracy": Measurement(outcome.accuracy, outcome.accuracy_sem),
            "average_macs": Measurement(macs, macs_sem),
        }
        counts = [round(rate * len(self.images.labels)) for rate in outcome.exit_rates]
        for cost in self.costs:
            costs = costs_of(cost, architecture, self.space.skeleton)
            metrics[cost.name] = Measurement(*mean_cost(counts, costs[: len(counts)]))
        return metrics


def _named(architecture: Architecture, thresholds: Sequence[float | None]) -> dict[str, float]:
    """Return the thresholds of a network's exits in use, by parameter name."""
    named = zip(map(threshold_name, architecture.active_exits), thresholds, strict=True)
    return {name: threshold for name, threshold in named if threshold is not None}
