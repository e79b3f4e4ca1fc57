"""Settings of the search; `config` composes them with the others."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from aebnas_bo.storage.frozen_model import Affects, Effect, Section

ObjectiveName = Literal["accuracy", "average_macs", "latency_ms", "given"]
StrategyName = Literal["qnehvi", "ax-default", "sobol", "random", "aebnas", "plain", "given"]

FURTHER_OBJECTIVES = ((), ("latency_ms",), ("given",), ("latency_ms", "given"))


class ReferencePoint(Section):
    """The corner from which hypervolume is measured, in natural units.

    Args:
        accuracy: Top-1 accuracy in percent below which a network counts for nothing.
        average_macs: Average MACs in millions above which a network counts for nothing.
        latency_ms: Average milliseconds likewise; null takes the largest network's.
    """

    accuracy: Annotated[float, Field(ge=0.0, lt=100.0)]
    average_macs: Annotated[float, Field(gt=0.0)]
    latency_ms: Annotated[float, Field(gt=0.0)] | None = None


class SearchConfig(Section):
    """How the space is searched.

    Args:
        objectives: What is optimised: accuracy, average MACs and, if it is listed, the average latency of an image,
            looked up in a table of measured parts; `given` is set where an objective is given from Python
            (`aebnas_bo.Study.create`).
        strategy: What proposes trials: `qnehvi` is ours; `ax-default` is Ax without it, `sobol` and `random` learn
            nothing, `aebnas` is that system's loop (as published with `design_trials: 100` and `batch_size: 8`).
            `plain` searches nothing: `aebnas-bo compare` trains plain networks alone.
        budget: Number of evaluated trials, the design included.
        design_trials: Trials of the first, space-filling design, before anything is learned from them.
        plain_first: Whether the first trials of the design, three quarters of them at most, are plain networks of the
            space, where its stages can have depthwise separable blocks.
        batch_size: Trials proposed together after the design.
        max_average_macs: Most average MACs in millions of an admissible network; null admits any.
        min_accuracy: Least top-1 accuracy in percent of an admissible network; null admits any.
        max_latency_ms: Most average milliseconds per image of an admissible network; null admits any.
        acquisition: Acquisition function the next trial maximises.
        mc_samples: Quasi-Monte Carlo samples of the acquisition function.
        pool_size: Candidates kept per round of the acquisition optimiser.
        rounds: Rounds of evolution of that pool.
        max_failed_trials: Failed trials after which the run stops.
        reference_point: Corner of the hypervolume; null takes chance accuracy and the largest network's MACs.
    """

    affects: ClassVar[Effect] = "trials"

    objectives: tuple[ObjectiveName, ...] = ("accuracy", "average_macs")
    strategy: StrategyName = "qnehvi"
    budget: Annotated[int, Field(ge=1, le=100000), Affects("budget")] = 100
    design_trials: Annotated[int, Field(ge=2, le=10000)] = 24
    plain_first: bool = True
    batch_size: Annotated[int, Field(ge=1, le=64)] = 1
    max_average_macs: Annotated[Annotated[float, Field(gt=0.0)] | None, Affects("supernet")] = None  # caps its networks
    min_accuracy: Annotated[float, Field(ge=0.0, lt=100.0)] | None = None
    max_latency_ms: Annotated[float, Field(gt=0.0)] | None = None
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
        if self.max_latency_ms is not None and not self.has_latency:
            raise ValueError(
                "max_latency_ms limits a metric that is not measured; a new search measures it with objectives: "
                "[accuracy, average_macs, latency_ms]"
            )
        return self

    @property
    def has_latency(self) -> bool:
        """Whether latency is an objective."""
        return "latency_ms" in self.objectives
