"""Settings of the search."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from aebnas_bo.search.objectives import Objective, Scale, constraint
from aebnas_bo.space.search_space import SearchSpace
from aebnas_bo.storage.frozen_model import Affects, Effect, Section

ObjectiveName = Literal["accuracy", "average_macs", "latency_ms", "given"]
StrategyName = Literal["qnehvi", "ax-default", "sobol", "random", "aebnas", "plain", "given"]
Proposals = Literal["batch", "asynchronous"]

FEWEST_DESIGN_TRIALS = 8  # of a small space
DESIGN_TRIALS_PER_PARAMETER = 2
OWN_LIMITS = {"accuracy": "min_accuracy", "average_macs": "max_average_macs", "latency_ms": "max_latency_ms"}
FURTHER_OBJECTIVES = ((), ("latency_ms",), ("given",), ("latency_ms", "given"))


class ReferencePoint(Section):
    """Reference point of the hypervolume, in natural units.

    Args:
        accuracy: Top-1 accuracy in percent; networks below it add nothing to the hypervolume.
        average_macs: Average MACs in millions; networks above it add nothing to the hypervolume.
        latency_ms: Average latency in milliseconds; networks above it add nothing to the hypervolume. null takes the
            latency of the largest network.
    """

    accuracy: Annotated[float, Field(ge=0.0, lt=100.0)]
    average_macs: Annotated[float, Field(gt=0.0)]
    latency_ms: Annotated[float, Field(gt=0.0)] | None = None


class SearchConfig(Section):
    """Search strategy, budget, objectives and limits.

    Args:
        objectives: Objectives: accuracy, average MACs and, if listed, the average latency per image, computed from a
            table of measured parts; `given` is set where an objective is passed from Python
            (`aebnas_bo.Study.create`).
        strategy: Search strategy: `qnehvi` is our Bayesian optimisation, `ax-default` is Ax's default strategy, `sobol`
            and `random` ignore results, `aebnas` is the loop of AEBNAS (as published with `design_trials: 100` and
            `batch_size: 8`). `plain` does not search: `aebnas-bo compare` uses it to train plain networks as a
            baseline.
        budget: Number of evaluated trials, including the initial design.
        design_trials: Number of trials in the space-filling initial design. A small space that is searched from Python
            takes two per parameter, but at least 8, unless this is set.
        plain_first: Whether the initial design begins with plain networks of the space, for at most three quarters of
            its trials, if the stages of the space can have depthwise separable blocks.
        batch_size: Trials proposed together after the initial design.
        proposals: When the next trials are proposed. `batch`: once all trials of a batch are finished, so that the
            number of workers changes no trial. `asynchronous`: one as soon as a worker is free, while others run; no
            worker waits, but the trials then depend on the order in which trials end, which the study stores.
        cost_scale: Scale of costs (average MACs, latency, a given objective) in hypervolume and acquisition function:
            `linear` compares differences, `log` ratios, so that halving a small cost counts as much as halving a large
            one.
        max_average_macs: Upper limit of average MACs in millions; null sets no limit.
        min_accuracy: Lower limit of top-1 accuracy in percent; null sets no limit.
        max_latency_ms: Upper limit of average milliseconds per image; null sets no limit. Without the objective
            latency_ms, latency is measured and limited, but not minimised.
        constraints: Limits of further metrics that an estimator from Python reports, such as `memory_mb <= 4`; each
            metric may have one. These metrics are not optimised.
        acquisition: Acquisition function that the next trial maximises.
        mc_samples: Quasi-Monte Carlo samples of the acquisition function.
        pool_size: Candidates kept per round of the acquisition optimiser.
        rounds: Rounds of evolution of the candidate pool.
        max_failed_trials: Failed trials after which the run stops.
        reference_point: Reference point of the hypervolume; null takes chance accuracy and the MACs of the largest
            network.
    """

    affects: ClassVar[Effect] = "trials"

    objectives: tuple[ObjectiveName, ...] = ("accuracy", "average_macs")
    strategy: StrategyName = "qnehvi"
    budget: Annotated[int, Field(ge=1, le=100000), Affects("budget")] = 100
    design_trials: Annotated[int, Field(ge=2, le=10000)] = 24
    plain_first: bool = True
    batch_size: Annotated[int, Field(ge=1, le=64)] = 1
    proposals: Proposals = "batch"
    cost_scale: Scale = "linear"
    max_average_macs: Annotated[Annotated[float, Field(gt=0.0)] | None, Affects("supernet")] = None  # caps its networks
    min_accuracy: Annotated[float, Field(ge=0.0, lt=100.0)] | None = None
    max_latency_ms: Annotated[float, Field(gt=0.0)] | None = None
    constraints: tuple[str, ...] = ()
    acquisition: Literal["qlognehvi", "qnehvi"] = "qlognehvi"
    mc_samples: Annotated[int, Field(ge=4, le=4096)] = 64
    pool_size: Annotated[int, Field(ge=8, le=8192)] = 96
    rounds: Annotated[int, Field(ge=0, le=100)] = 5
    max_failed_trials: Annotated[int, Field(ge=0), Affects("budget")] = 10
    reference_point: ReferencePoint | None = None

    @model_validator(mode="after")
    def _check(self) -> SearchConfig:
        if self.objectives[:2] != ("accuracy", "average_macs") or self.objectives[2:] not in FURTHER_OBJECTIVES:
            raise ValueError(
                "objectives: expected [accuracy, average_macs] or [accuracy, average_macs, latency_ms], got "
                f"[{', '.join(self.objectives)}]"
            )
        self._check_constraints()
        if self.proposals == "asynchronous" and self.batch_size > 1:
            raise ValueError(
                f"proposals: asynchronous proposes one trial at a time, but batch_size is {self.batch_size}; set "
                "batch_size: 1, or proposals: batch"
            )
        return self

    def _check_constraints(self) -> None:
        names = [one.name for one in self.limits]
        if taken := [OWN_LIMITS[name] for name in names if name in OWN_LIMITS]:
            raise ValueError(f"constraints: set search.{taken[0]} instead")
        if len(set(names)) < len(names):
            repeated = next(name for name in names if names.count(name) > 1)
            raise ValueError(
                f"constraints: {repeated} has {names.count(repeated)} limits, expected one; report the metric under "
                "two names to limit it on both sides"
            )

    @property
    def limits(self) -> tuple[Objective, ...]:
        """The constraints of further metrics."""
        return tuple(constraint(text) for text in self.constraints)

    @property
    def most_first_points(self) -> int:
        """Number of plain networks that a search may evaluate first; the rest of the design covers the whole space."""
        return 3 * self.design_trials // 4 if self.plain_first else 0

    @property
    def is_asynchronous(self) -> bool:
        """Whether a trial is proposed as soon as a worker is free."""
        return self.proposals == "asynchronous"

    @property
    def has_latency(self) -> bool:
        """Whether latency is measured, as an objective or for its limit."""
        return "latency_ms" in self.objectives or self.max_latency_ms is not None

    def for_space(self, space: SearchSpace) -> SearchConfig:
        """Return settings whose initial design is no larger than a space needs, unless its size was given.

        Args:
            space: The space to search.
        """
        if "design_trials" in self.model_fields_set:
            return self
        enough = max(FEWEST_DESIGN_TRIALS, DESIGN_TRIALS_PER_PARAMETER * len(space.parameters))
        return self.model_copy(update={"design_trials": min(self.design_trials, enough)})
