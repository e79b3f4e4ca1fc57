"""The search engine inside Ax: our design, surrogates and acquisition optimiser as an Ax generation strategy.

This is the only file that imports Ax. `ax_client` serves loops written by hand and the loop of this package. Ax sees
flat parameters. The surrogates convert every point to its canonical form, so values of switched-off parameters have no
effect.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import TypeAlias

import torch

import aebnas_bo.search.quiet_ax  # noqa: F401

# isort: split
from ax.adapter.registry import Generators
from ax.adapter.transforms.choice_encode import ChoiceToNumericChoice, OrderedChoiceToIntegerRange
from ax.api.client import Client
from ax.api.configs import ChoiceParameterConfig, RangeParameterConfig
from ax.core.data import Data, DataRow
from ax.core.experiment import Experiment
from ax.core.search_space import SearchSpaceDigest
from ax.core.trial_status import TrialStatus
from ax.generation_strategy.external_generation_node import ExternalGenerationNode
from ax.generation_strategy.generation_node import GenerationNode
from ax.generation_strategy.generation_strategy import GenerationStrategy
from ax.generation_strategy.generator_spec import GeneratorSpec
from ax.generation_strategy.transition_criterion import MinTrials
from ax.generators.torch.botorch_modular.acquisition import Acquisition
from ax.generators.torch.botorch_modular.surrogate import SurrogateSpec
from ax.generators.torch.botorch_modular.utils import ModelConfig, fit_botorch_model
from ax.utils.common.logger import set_ax_logger_levels
from botorch.acquisition.acquisition import AcquisitionFunction
from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
from botorch.models.model import Model
from torch import Tensor

from aebnas_bo.errors import SpaceExhaustedError, UsageError
from aebnas_bo.search.design import sobol_points
from aebnas_bo.search.metric_arrival import check_one_completed, trials_with_all_metrics
from aebnas_bo.search.objectives import Objective, optimized
from aebnas_bo.search.outcome_constraints import check_single_metrics, outcome_constraints
from aebnas_bo.search.parameter_columns import column_layout, known_outcome
from aebnas_bo.search.settings import SearchConfig
from aebnas_bo.seeding import child_seed
from aebnas_bo.space.search_space import ChoiceParameter, ParameterValue, SearchSpace
from surrogates.acquisition import (
    AcquisitionSettings,
    OptimizationConfig,
    noisy_hypervolume_acquisition,
)
from surrogates.columns import ColumnLayout
from surrogates.errors import NoCandidateError
from surrogates.fitting import FitMemory, fit_surrogate
from surrogates.known_costs import KnownCosts, last_cost
from surrogates.log_objective import LogObjective
from surrogates.models import ArchitectureGP
from surrogates.pool_optimizer import Criterion, PoolSettings, maximize_acquisition

MetricValues: TypeAlias = Mapping[str, tuple[float, float]]  # value and standard error of each metric
MODEL_NODE, DESIGN_NODE = "qNEHVI", "Sobol"
SPENT = "all points were proposed; end the loop, or declare a larger space (if you requested several, request one)"


def ax_parameters(space: SearchSpace) -> list[ChoiceParameterConfig | RangeParameterConfig]:
    """Return the space as flat Ax parameters, in the order of the space."""
    configs: list[ChoiceParameterConfig | RangeParameterConfig] = []
    for parameter in space.parameters:
        if isinstance(parameter, ChoiceParameter):
            kind = _ax_type(parameter)
            configs.append(
                ChoiceParameterConfig(
                    parameter.name,
                    list(parameter.values),
                    parameter_type=kind,
                    is_ordered=parameter.is_ordered,
                )
            )
        else:
            configs.append(RangeParameterConfig(parameter.name, (parameter.lower, parameter.upper), "float"))
    return configs


def _ax_type(parameter: ChoiceParameter) -> str:
    for kind, name in ((bool, "bool"), (int, "int"), (float, "float")):
        if all(type(value) is kind for value in parameter.values):
            return name
    return "float" if all(isinstance(value, int | float) for value in parameter.values) else "str"


@fit_botorch_model.register(ArchitectureGP)  # type: ignore[untyped-decorator]
def _fit(model: ArchitectureGP, mll_class: object, mll_options: dict[str, FitMemory]) -> None:  # noqa: ARG001
    """Fit our model with our own routine; Ax dispatches on the type of the model."""
    if "memory" in mll_options:
        fit_surrogate(model, mll_options["memory"])


class ArchitectureAcquisition(Acquisition):
    """Ax acquisition that builds our qLogNEHVI and maximises it with our pool optimiser.

    Options (`acquisition_options`): `layout`, `settings` (a `SearchConfig`), `seed`, `limited` (the objectives that
    have a limit), `on_log_scale` (those on the log scale) and `known_costs`. Ties in the acquisition value go to the
    candidate with the lowest first known cost when no image exits early.
    """

    def _construct_botorch_acquisition(
        self,
        botorch_acqf_class: type[AcquisitionFunction],
        botorch_acqf_options: dict[str, object],
        model: Model,
    ) -> AcquisitionFunction:
        objective, _ = self.get_botorch_objective_and_transform(
            botorch_acqf_class=botorch_acqf_class,
            model=model,
            objective_weights=self._objective_weights,
            outcome_constraints=self._outcome_constraints,
            X_observed=self.X_observed,
        )
        settings: SearchConfig = self.options["settings"]
        outcomes = self.surrogate.outcomes
        smallest = {outcomes.index(one.name): one.smallest for one in self.options["on_log_scale"]}
        scaled = LogObjective(objective, smallest, objective.outcomes.tolist())
        return noisy_hypervolume_acquisition(
            model,
            self.X_observed,
            OptimizationConfig(
                scaled,
                scaled.reference(self._objective_thresholds),
                constraints=outcome_constraints(self.options["limited"], self._outcome_constraints, outcomes),
            ),
            settings=AcquisitionSettings(settings.acquisition, settings.mc_samples, seed=self.options["seed"]),
            X_pending=self.X_pending,
        )

    def optimize(
        self,
        n: int,
        search_space_digest: SearchSpaceDigest,
        inequality_constraints: list[tuple[Tensor, Tensor, float]] | None = None,
        equality_constraints: list[tuple[Tensor, Tensor, float]] | None = None,
        fixed_features: dict[int, float] | None = None,
        rounding_func: Callable[[Tensor], Tensor] | None = None,
        optimizer_options: dict[str, object] | None = None,
        candidate_set: Tensor | None = None,
        sampling_strategy: object | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return `n x d` candidates, chosen greedily, with their acquisition values and equal weights."""
        if inequality_constraints or equality_constraints or fixed_features or candidate_set is not None:
            raise NotImplementedError(
                "parameter constraints, fixed features and candidate sets are not supported by this strategy; "
                "declare a smaller search space instead"
            )
        layout: ColumnLayout = self.options["layout"]
        settings: SearchConfig = self.options["settings"]
        told = [X for X in (self.X_observed, self.X_pending) if X is not None]
        excluded = torch.cat(told)
        generator = torch.Generator().manual_seed(child_seed(self.options["seed"], "pool", len(excluded)))
        elites = self.acqf.X_baseline  # the points that are non-dominated in at least one posterior draw
        known_costs: Sequence[KnownCosts] = self.options["known_costs"]
        cost = partial(last_cost, known_costs[0]) if known_costs else None
        thresholds = known_costs[0].thresholds if known_costs else ()
        rows: list[Tensor] = []
        values: list[Tensor] = []
        for _ in range(n):
            pending = [X for X in (self.X_pending, *rows) if X is not None]
            acquisition = of_other_networks(self.acqf, torch.cat(pending), thresholds) if pending else self.acqf
            try:
                row, value = maximize_acquisition(
                    Criterion(acquisition, cost),
                    layout,
                    PoolSettings(pool_size=settings.pool_size, rounds=settings.rounds),
                    elites=elites,
                    excluded=excluded,
                    generator=generator,
                )
            except NoCandidateError as error:
                raise SpaceExhaustedError(f"no new point is left in the space: {SPENT}") from error
            rows.append(row)
            values.append(value)
            excluded = torch.cat([excluded, row])
            if len(rows) < n:
                self.acqf.set_X_pending(torch.cat([*pending, row]))
        return torch.cat(rows), torch.cat(values), torch.ones(n, dtype=self.dtype)


def of_other_networks(
    acquisition: Callable[[Tensor], Tensor], taken: Tensor, thresholds: Sequence[int]
) -> Callable[[Tensor], Tensor]:
    """Return an acquisition function that is minus infinity at rows which differ from others in thresholds only.

    The evaluation of a network yields its metrics at all thresholds.

    Args:
        acquisition: Maps `n x 1 x d` to `n` values.
        taken: Canonical rows, `k x d`.
        thresholds: Columns of thresholds; without any the function is returned as it is.
    """
    if not thresholds:
        return acquisition
    rest = [column for column in range(taken.shape[-1]) if column not in thresholds]

    def elsewhere(X: Tensor) -> Tensor:
        is_taken = (X[..., rest] == taken[:, rest]).all(dim=-1).any(dim=-1)  # n x k before the last step
        return torch.where(is_taken, -torch.inf, acquisition(X))

    return elsewhere


class SobolDesignNode(ExternalGenerationNode):
    """Generation node of distinct, canonical, scrambled Sobol points; the trial's index selects the next one.

    Args:
        space: The space to fill.
        seed: Seed of the scrambling.
        num_points: Number of initial trials, after which the surrogates propose.
    """

    def __init__(self, space: SearchSpace, seed: int, num_points: int) -> None:
        super().__init__(
            name=DESIGN_NODE,
            should_deduplicate=False,
            transition_criteria=[MinTrials(threshold=num_points, transition_to=MODEL_NODE, use_all_trials_in_exp=True)],
        )
        self._space = space
        self._seed = seed
        self._next = 0

    def update_generator_state(self, experiment: Experiment, data: Data) -> None:
        """Store the number of trials."""
        self._next = len(experiment.trials)

    def get_next_candidate(self, pending_parameters: list[dict[str, ParameterValue]]) -> dict[str, ParameterValue]:
        """Return the design point of the next trial."""
        points = sobol_points(self._space, self._seed)
        self._next += 1
        point = next(islice(points, self._next - 1, None), None)
        if point is None:
            raise SpaceExhaustedError(f"the space has fewer points than trials ({self._next}): {SPENT}")
        return point


class ModelNode(GenerationNode):
    """Generation node of the surrogates, which need at least one completed trial, and every metric of each."""

    def _fit(self, experiment: Experiment, data: Data | None = None, **kwargs: object) -> None:
        check_single_metrics(one.metric_names for one in experiment.optimization_config.outcome_constraints)
        known = data if data is not None else experiment.lookup_data()
        completed = experiment.trial_indices_by_status[TrialStatus.COMPLETED]
        whole = trials_with_all_metrics(known.df, completed, experiment.optimization_config.metric_names)
        if len(whole) < known.df["trial_index"].nunique():  # some running trials have a part of their metrics
            data = known.filter(trial_indices=whole)
        check_one_completed(whole, num_trials=len(experiment.trials))
        super()._fit(experiment=experiment, data=data, **kwargs)


class StudyClient(Client):
    """Ax client that completes many trials at once, and cannot be saved as JSON."""

    def complete_trials(self, results: Mapping[int, MetricValues]) -> None:
        """Complete one or more trials by index; `complete_trial` reads the data of all trials each time."""
        trials = self._experiment.trials
        signatures = {name: metric.signature for name, metric in self._experiment.metrics.items()}
        rows = [
            DataRow(index, arm.name, name, signatures[name], *values)
            for index, metrics in results.items()
            for arm in trials[index].arms
            for name, values in metrics.items()
        ]
        self._experiment.attach_data(Data(data_rows=rows))
        for index in results:
            trials[index].mark_completed()

    def save_to_json_file(self, filepath: str = "ax_client_snapshot.json") -> None:
        """Raise an error before Ax truncates an existing snapshot.

        Raises:
            UsageError: Always.
        """
        raise UsageError(
            f"{filepath}: Ax cannot save this strategy as JSON, and the file was not changed; keep the parameters and "
            "results of your trials, and pass them to a new client with attach_trial and complete_trial"
        )


def generation_strategy(
    space: SearchSpace,
    settings: SearchConfig,
    *,
    seed: int,
    known_costs: Sequence[KnownCosts] = (),
    objectives: Sequence[Objective] = (),
    has_fit: bool = True,
) -> GenerationStrategy:
    """Return our strategy for an Ax client: a Sobol design, then surrogates and qLogNEHVI.

    Args:
        space: The space whose `ax_parameters` the experiment has.
        settings: Size of the initial design and effort per proposal.
        seed: Random seed.
        known_costs: Costs that can be computed for every point (`exit_macs` of a network space).
        objectives: Objectives and constraints whose limits and bounds the surrogates use. Constraints must also be
            outcome constraints of the experiment, as `ax_client` makes them.
        has_fit: Whether to fit the surrogates; otherwise their hyper-parameters keep their prior values.
    """
    settings, layout = settings.for_space(space), column_layout(space)
    spec = GeneratorSpec(
        generator_enum=Generators.BOTORCH_MODULAR,
        generator_kwargs={
            "surrogate_spec": SurrogateSpec(
                model_configs=[
                    ModelConfig(
                        botorch_model_class=ArchitectureGP,
                        model_options={
                            "layout": layout,
                            "known_costs": known_costs,
                            "outcomes": {o.name: known_outcome(o) for o in objectives},
                        },
                        mll_options={"memory": FitMemory()} if has_fit else {},
                        input_transform_classes=None,
                    )
                ]
            ),
            "acquisition_class": ArchitectureAcquisition,
            "acquisition_options": {
                "layout": layout,
                "settings": settings,
                "seed": child_seed(seed, "acquisition") % 2**31,
                "limited": tuple(objective for objective in objectives if objective.limit is not None),
                "on_log_scale": tuple(objective for objective in objectives if objective.scale == "log"),
                "known_costs": known_costs,
            },
            "botorch_acqf_class": qLogNoisyExpectedHypervolumeImprovement,
            "use_p_feasible": False,
            "fit_tracking_metrics": False,
            "transforms": [ChoiceToNumericChoice, OrderedChoiceToIntegerRange],
        },
    )
    design = SobolDesignNode(space, child_seed(seed, "design"), settings.design_trials)
    model = ModelNode(name=MODEL_NODE, generator_specs=[spec], should_deduplicate=False)
    return GenerationStrategy(name="aebnas_bo", nodes=[design, model])


def ax_client(
    space: SearchSpace,
    objectives: Sequence[Objective],
    settings: SearchConfig,
    *,
    seed: int,
    known_costs: Sequence[KnownCosts] = (),
    has_fit: bool = True,
) -> StudyClient:
    """Return an Ax client that searches a space with our strategy inside.

    Args:
        space: Search space.
        objectives: At least two metrics, with direction and reference point, and any constraints.
        settings: Settings of the search.
        seed: Random seed.
        known_costs: Costs that can be computed for every point.
        has_fit: Whether to fit the surrogates.
    """
    client = _bare_client(space, objectives, seed=seed, name="aebnas_bo")
    client.set_generation_strategy(
        generation_strategy(space, settings, seed=seed, known_costs=known_costs, objectives=objectives, has_fit=has_fit)
    )
    return client


def ax_default_client(
    space: SearchSpace, objectives: Sequence[Objective], settings: SearchConfig, *, seed: int, name: str = "ax-default"
) -> StudyClient:
    """Return an Ax client with Ax's default strategy; the only setting used is the size of the initial design."""
    client = _bare_client(space, objectives, seed=seed, name=name)
    client.configure_generation_strategy(
        initialization_budget=settings.design_trials,
        initialization_random_seed=child_seed(seed, "design") % 2**31,
        allow_exceeding_initialization_budget=True,
    )
    return client


def _bare_client(space: SearchSpace, objectives: Sequence[Objective], *, seed: int, name: str) -> StudyClient:
    set_ax_logger_levels(logging.WARNING)
    client = StudyClient(random_seed=child_seed(seed, "ax") % 2**31)
    client.configure_experiment(parameters=ax_parameters(space), name=name)
    client.configure_optimization(
        objective=", ".join(o.name if o.maximize else f"-{o.name}" for o in optimized(objectives)),
        outcome_constraints=[
            f"{o.name} {'>=' if o.maximize else '<='} {o.limit if o.is_constraint else o.reference!r}"
            for o in objectives
        ],
    )
    return client
