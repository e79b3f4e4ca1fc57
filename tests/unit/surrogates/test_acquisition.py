from dataclasses import replace

import pytest
import torch
from botorch.acquisition.multi_objective import logei
from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
from botorch.acquisition.multi_objective.objective import IdentityMCMultiOutputObjective
from botorch.sampling import SobolQMCNormalSampler
from botorch.utils.objective import compute_smoothed_feasibility_indicator

from surrogates.acquisition import (
    AcquisitionSettings,
    OptimizationConfig,
    _first_layers,
    _spread,
    noisy_hypervolume_acquisition,
)
from surrogates.columns import Column, ColumnLayout
from surrogates.errors import SurrogateError
from surrogates.feasibility import LogFeasibility, OutcomeConstraint
from surrogates.models import ArchitectureGP

LAYOUT = ColumnLayout(
    (
        Column("depth", "a", 0, 4, True),
        Column("width", "b", 0, 4, True),
        Column("threshold", "t", 0.0, 1.0, False),
    )
)
REFERENCE = torch.tensor([-3.0, -3.0], dtype=torch.float64)


@pytest.fixture
def problem() -> tuple[ArchitectureGP, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    X, candidates = LAYOUT.sample(20, generator), LAYOUT.sample(60, generator)
    Y = torch.stack([X.sum(dim=-1) + X[:, 2], -(X[:, 0] ** 2) - X[:, 1]], dim=-1)
    Y = (Y - Y.mean(dim=0)) / Y.std(dim=0)
    return ArchitectureGP(X, Y, LAYOUT, train_Yvar=torch.full_like(Y, 0.05)), X, candidates


def make(problem, name="qlognehvi", mc_samples=512, X_pending=None, constraints=()):
    model, X, _ = problem
    config = OptimizationConfig(IdentityMCMultiOutputObjective(), REFERENCE, constraints)
    settings = AcquisitionSettings(name, mc_samples)
    return noisy_hypervolume_acquisition(model, X, config, settings=settings, X_pending=X_pending)


@pytest.mark.slow
def test_values_agree_with_botorchs(problem) -> None:
    ours = make(problem)
    theirs = qLogNoisyExpectedHypervolumeImprovement(
        model=problem[0],
        ref_point=REFERENCE / ours.objective.scale,
        objective=ours.objective,
        X_baseline=ours.X_baseline,
        sampler=SobolQMCNormalSampler(torch.Size([512]), seed=5),
        cache_root=False,
    )
    with torch.no_grad():
        a, b = ours(problem[2].unsqueeze(1)).exp(), theirs(problem[2].unsqueeze(1)).exp()
    assert torch.corrcoef(torch.stack([a, b]))[0, 1] > 0.995
    assert (a.mean() / b.mean() - 1.0).abs() < 0.05


@pytest.mark.parametrize("constraints", [(), (OutcomeConstraint(outcome=1, sign=1.0, limit=0.0),)])
@pytest.mark.parametrize("num_pending", [0, 3])
def test_of_given_draws_the_value_and_its_gradient_are_botorchs(problem, constraints, num_pending, monkeypatch) -> None:
    def without_fat_tails(*rest, fat, **arguments):  # BoTorch has one switch for improvement and feasibility
        return compute_smoothed_feasibility_indicator(*rest, fat=False, **arguments)

    monkeypatch.setattr(logei, "compute_smoothed_feasibility_indicator", without_fat_tails)
    X_pending = problem[2][:num_pending] if num_pending else None
    acquisition = make(problem, mc_samples=64, X_pending=X_pending, constraints=constraints)
    X = problem[2].unsqueeze(1)
    draws = [(3.0 * acquisition._paths(X)).detach().requires_grad_(True) for _ in range(2)]  # some far below the front
    ours = acquisition._improvement(samples=draws[0], X=X)
    theirs = acquisition._compute_log_qehvi(samples=draws[1], X=X)
    assert torch.allclose(ours, theirs, rtol=1e-10, atol=1e-10)
    ours.sum().backward()
    theirs.sum().backward()
    assert torch.allclose(draws[0].grad, draws[1].grad, rtol=1e-8, atol=1e-10)


@pytest.mark.slow
def test_conditioned_draws_have_the_posteriors_moments(problem) -> None:
    model, _, candidates = problem
    draws = make(problem, mc_samples=4096)._paths(candidates.unsqueeze(1)).squeeze(-2).detach()
    posterior = model.posterior(candidates)
    assert torch.allclose(draws.mean(dim=0), posterior.mean, atol=0.03)
    assert torch.allclose(draws.var(dim=0), posterior.variance, atol=0.03)


def test_draws_at_baseline_points_repeat_the_baseline_draws(problem) -> None:
    acquisition = make(problem, mc_samples=64)
    baseline = acquisition.X_baseline
    draws = acquisition._paths(baseline.unsqueeze(1)).squeeze(-2)
    expected = acquisition.base_sampler(problem[0].posterior(baseline))
    assert torch.allclose(draws, expected, atol=0.02)


def test_what_is_drawn_anew_for_a_candidate_has_not_the_signs_of_the_baselines_draws(problem) -> None:
    acquisition = make(problem, mc_samples=512)
    baseline = acquisition.base_sampler.base_samples.squeeze()  # S x b x m
    agreement = ((acquisition._paths._epsilon > 0)[:, None, :, None] == (baseline > 0)[:, :, None, :]).double()
    assert (agreement.mean(dim=0) - 0.5).abs().max() < 0.1


def test_gradient_in_continuous_columns(problem) -> None:
    acquisition = make(problem, mc_samples=64)
    X = problem[2][:5].clone().requires_grad_(True)
    acquisition(X.unsqueeze(1)).sum().backward()
    assert torch.isfinite(X.grad).all()
    assert X.grad[:, 2].abs().max() > 0


@pytest.mark.slow
def test_pending_points_lower_the_value_nearby(problem) -> None:
    best = problem[2][make(problem)(problem[2].unsqueeze(1)).argmax()][None]
    free, taken = make(problem)(best.unsqueeze(1)), make(problem, X_pending=best)(best.unsqueeze(1))
    assert taken < free - 0.3


def test_plain_variant_ranks_alike(problem) -> None:
    with torch.no_grad():
        log_values, values = (make(problem, name)(problem[2].unsqueeze(1)) for name in ("qlognehvi", "qnehvi"))
    assert log_values.argmax() == values.argmax()
    assert torch.allclose(log_values.exp(), values, atol=0.05)


@pytest.mark.slow
def test_same_seed_same_values(problem) -> None:
    one, other = make(problem)(problem[2].unsqueeze(1)), make(problem)(problem[2].unsqueeze(1))
    assert torch.equal(one, other)


def test_no_observation_is_refused(problem) -> None:
    with pytest.raises(SurrogateError, match="at least one observation"):
        make((problem[0], problem[1][:0], problem[2]))


def test_first_layers_take_the_front_then_what_lies_behind_it() -> None:
    values = torch.tensor([[1.0, 1.0], [3.0, 0.0], [0.0, 3.0], [2.0, 2.0], [0.5, 0.5], [1.0, 1.5]])
    every = torch.ones(6, dtype=torch.bool)
    assert _first_layers(values, 3, every).tolist() == [1, 2, 3]
    assert _first_layers(values, 4, every).tolist() == [1, 2, 3, 5]
    assert _first_layers(values, 2, every).tolist() == [1, 2]  # evenly along the front: its ends
    assert _first_layers(values, 99, every).tolist() == [0, 1, 2, 3, 4, 5]


def test_first_layers_take_feasible_rows_first() -> None:
    values = torch.tensor([[1.0, 1.0], [3.0, 0.0], [0.0, 3.0], [2.0, 2.0]])
    is_feasible = torch.tensor([True, False, True, False])
    assert _first_layers(values, 2, is_feasible).tolist() == [0, 2]
    assert _first_layers(values, 3, is_feasible).tolist() == [0, 2, 3]


@pytest.mark.slow
def test_what_is_likely_to_break_a_limit_is_worth_less(problem) -> None:
    model, _, candidates = problem
    limit = OutcomeConstraint(outcome=1, sign=1.0, limit=0.4)
    with torch.no_grad():
        plain, limited = (make(problem, constraints=c)(candidates.unsqueeze(1)) for c in ((), (limit,)))
        posterior = model.posterior(candidates)
    is_bad = posterior.mean[:, 1] + 2.0 * posterior.variance[:, 1].sqrt() < limit.limit
    assert plain[is_bad].max() > plain[~is_bad].max()  # without the limit the best of them breaks it
    assert limited[is_bad].max() < limited[~is_bad].max() - 2.0


def test_no_improvement_is_large_enough_for_a_clearly_infeasible_candidate(problem) -> None:
    acquisition = make(problem, mc_samples=64, constraints=[OutcomeConstraint(outcome=1, sign=1.0, limit=-2.0)])
    best = problem[0].observations[1].amax(dim=0)
    feasible, infeasible = [float(best[0]) + 0.01, -1.9], [1e12, -2.9]
    draws = torch.tensor([feasible, infeasible], dtype=torch.float64).unsqueeze(1).expand(64, 2, 1, 2)
    values = acquisition._improvement(samples=draws, X=problem[2][:2].unsqueeze(1))
    assert values[0] > values[1]


def test_without_feasible_observations_feasibility_is_maximised(problem) -> None:
    limit = OutcomeConstraint(outcome=0, sign=1.0, limit=2.5)  # spreads from the mean, more than any observation has
    assert isinstance(make(problem, constraints=[limit]), LogFeasibility)
    assert not isinstance(make(problem, constraints=[replace(limit, limit=0.0)]), LogFeasibility)


def test_rounding_is_no_spread() -> None:
    values = torch.tensor([[99.95, 1.0, 0.0, -2e-9], [99.95 + 8e-11, 3.0, 0.0, -1e-9]], dtype=torch.float64)
    assert _spread(values).tolist() == pytest.approx([99.95, 1.0, 1.0, 5e-10])


def test_constraints_have_the_sign_of_their_violation() -> None:
    Y = torch.tensor([[90.0, 3.0], [80.0, 1.0]])
    assert OutcomeConstraint(0, 1.0, 85.0).in_units_of(5.0)(Y).tolist() == [-1.0, 1.0]
    assert OutcomeConstraint(1, -1.0, 2.0).in_units_of(0.5)(Y).tolist() == [2.0, -2.0]


def test_nothing_as_large_as_the_covariance_of_the_observations_stays(problem) -> None:
    saved = [0]
    with torch.autograd.graph.saved_tensors_hooks(lambda one: saved.append(one.numel()) or one, lambda one: one):
        acquisition = make(problem, mc_samples=8)
    num_observations = len(problem[1])
    assert len(acquisition.X_baseline) < num_observations
    assert max(saved) < num_observations**2
    assert problem[0].prediction_strategy is None
