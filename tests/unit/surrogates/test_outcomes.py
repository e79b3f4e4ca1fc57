import math

import pytest
import torch
from botorch.fit import fit_gpytorch_mll
from gpytorch.mlls import ExactMarginalLogLikelihood

from surrogates.columns import Column, ColumnLayout
from surrogates.errors import SurrogateError
from surrogates.known_costs import MARGIN
from surrogates.models import ArchitectureGP
from surrogates.outcomes import (
    COST_NOISE,
    NO_INFORMATION,
    OWN_NOISE,
    SHARE_NOISE,
    SMALLEST_VARIANCE,
    Outcome,
    OutcomeScaling,
)

LAYOUT = ColumnLayout(
    (
        Column("depth", "exit", 0, 2, is_discrete=True),
        Column("width", "stage", 0, 3, is_discrete=True),
        Column("threshold", "thresholds", 0.0, 1.0, False, inactive_value=1.0, parent=0, parent_levels=(1, 2)),
    )
)


class Costs:
    """A network of cost `2 + width`, left at 1 by those who exit early; without an exit nobody does."""

    outcome = "cost"
    thresholds = (2,)

    def __call__(self, X: torch.Tensor) -> torch.Tensor:
        return torch.stack([torch.ones_like(X[:, 0]), 2.0 + X[:, 1]], dim=-1)


def data(n: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    X = LAYOUT.sample(n, torch.Generator().manual_seed(0))
    least, greatest = Costs()(X).unbind(dim=-1)
    cost = least + (greatest - least) * X[:, 2].square()
    return X, torch.stack([80.0 + X[:, 1] + 5.0 * X[:, 2], cost], dim=-1)


def model(n: int = 40) -> ArchitectureGP:
    X, Y = data(n)
    return ArchitectureGP(X, Y, LAYOUT, train_Yvar=torch.full_like(Y, 1e-6), known_costs={1: Costs()})


def test_outcomes_are_standardised_by_hand_computed_logits() -> None:
    # The last three features: lower end, width, expected logit.
    features = torch.tensor([[0.0, 1.0, 2.0, 0.5], [0.0, 1.0, 4.0, 0.5], [0.0, 3.0, 0.0, 0.0]], dtype=torch.float64)
    Y = torch.tensor([[10.0, 2.0], [20.0, 4.0], [30.0, 3.0]], dtype=torch.float64)  # shares 0.5, 0.75, none
    transform = OutcomeScaling([Outcome()] * 2, cost_outcomes=[1])
    values, variances = transform(Y, torch.full_like(Y, 0.04), features)
    assert torch.allclose(values[:, 0], torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64))
    assert torch.allclose(values[:, 1], torch.tensor([-(0.5**0.5), 0.5**0.5, 0.0], dtype=torch.float64))
    spread = (math.log(3.0) / 2.0) ** 2 * 2.0  # sample variance of the logits 0 and log 3, but for the margin
    slope = 0.25  # of the sigmoid at 0
    noise = (OWN_NOISE * 0.04 / 4.0 + SHARE_NOISE**2) / slope**2 + COST_NOISE**2
    assert variances[0, 1].item() == pytest.approx(noise / spread, rel=0.02)
    assert variances[2, 1] == NO_INFORMATION
    back, _ = transform.untransform(values, None, features)
    assert torch.allclose(back, Y)


def test_the_ends_of_a_range_are_within_reach() -> None:
    features = torch.tensor([[1.0, 2.0, 0.0], [1.0, 2.0, 0.0], [1.0, 2.0, 0.0]], dtype=torch.float64)
    Y = torch.tensor([[1.0], [3.0], [2.0]], dtype=torch.float64)
    transform = OutcomeScaling([Outcome()], cost_outcomes=[0])
    values, _ = transform(Y, torch.zeros_like(Y), features)
    assert values.isfinite().all()
    assert transform.untransform(values, None, features)[0].flatten().tolist() == pytest.approx([1.0, 3.0, 2.0])


def test_a_cost_that_is_certain_is_predicted_exactly() -> None:
    rows = torch.tensor([[0.0, 0.0, 1.0], [0.0, 3.0, 1.0]], dtype=torch.float64)
    posterior = model().posterior(rows)
    assert torch.allclose(posterior.mean[:, 1], torch.tensor([2.0, 5.0], dtype=torch.float64))
    assert (posterior.variance[:, 1] < 1e-6).all()
    assert (posterior.variance[:, 0] > 1e-6).all()


def test_costs_that_are_certain_everywhere_leave_a_model_that_predicts() -> None:
    class WithoutExits:
        outcome = "cost"
        thresholds = ()

        def __call__(self, X: torch.Tensor) -> torch.Tensor:
            return 2.0 + X[:, 1:2]

    X, Y = data()
    Y[:, 1] = 2.0 + X[:, 1]
    one = ArchitectureGP(X, Y, LAYOUT, train_Yvar=torch.full_like(Y, 1e-6), known_costs={1: WithoutExits()})
    posterior = one.posterior(X[:5])
    assert torch.allclose(posterior.mean[:, 1], Y[:5, 1])
    assert (posterior.variance[:, 1] == 0.0).all()
    assert torch.isfinite(posterior.rsample(torch.Size([4]))).all()


@pytest.mark.slow
def test_known_costs_reach_beyond_what_was_seen() -> None:
    X, Y = data(60)
    seen = X[:, 1] < 3.0  # no network of the largest width
    errors = []
    for options in ({}, {"known_costs": {1: Costs()}}):
        gp = ArchitectureGP(X[seen], Y[seen], LAYOUT, train_Yvar=torch.full_like(Y[seen], 1e-6), **options)
        fit_gpytorch_mll(ExactMarginalLogLikelihood(gp.likelihood, gp))
        errors.append((gp.posterior(X[~seen]).mean[:, 1] - Y[~seen, 1]).square().mean())
    assert errors[1] < 0.25 * errors[0]


class Milliseconds(Costs):
    """Another cost of the same networks: leaving early takes 5, the whole network twice as long as it costs MACs."""

    outcome = "milliseconds"

    def __call__(self, X: torch.Tensor) -> torch.Tensor:
        return torch.stack([torch.full_like(X[:, 0], 5.0), 2.0 * super().__call__(X)[:, 1] + 4.0], dim=-1)


def test_several_known_costs_keep_to_their_own_ranges() -> None:
    X, Y = data(60)
    least, greatest = Milliseconds()(X).unbind(dim=-1)
    Y = torch.cat([Y, (least + (greatest - least) * X[:, 2].square())[:, None]], dim=-1)
    seen = X[:, 1] < 3.0
    noise = torch.full_like(Y[seen], 1e-6)
    both = ArchitectureGP(X[seen], Y[seen], LAYOUT, train_Yvar=noise, known_costs={1: Costs(), 2: Milliseconds()})
    swapped = ArchitectureGP(
        X[seen], Y[seen][:, [0, 2, 1]], LAYOUT, train_Yvar=noise, known_costs={2: Costs(), 1: Milliseconds()}
    )
    alone = ArchitectureGP(X[seen], Y[seen, :2], LAYOUT, train_Yvar=noise[:, :2], known_costs={1: Costs()})
    predicted = both.predict_median(X)
    assert (predicted[:, 2] >= least - 1e-9).all()
    assert (predicted[:, 2] <= greatest + 1e-9).all()
    assert (predicted[~seen, 2] - Y[~seen, 2]).abs().mean() < 0.15 * (greatest - least)[~seen].mean()
    assert torch.allclose(swapped.predict_median(X)[:, [0, 2, 1]], predicted)
    assert torch.allclose(alone.predict_median(X), predicted[:, :2])
    features = both.transform_inputs(X[seen])
    standardized, _ = both.outcome_transform.to_standardized(Y[seen], features)
    assert torch.allclose(both.outcome_transform.to_natural(standardized, features), Y[seen], atol=1e-2)


def test_draws_lie_about_the_mean_and_batches_agree() -> None:
    gp, rows = model(), LAYOUT.sample(6, torch.Generator().manual_seed(2))
    joint = gp.posterior(rows)
    single = gp.posterior(rows.unsqueeze(-2))
    assert torch.allclose(joint.mean, single.mean.squeeze(-2))
    assert torch.allclose(joint.variance, single.variance.squeeze(-2))
    draws = joint.rsample(torch.Size([4000]))
    assert torch.allclose(draws.mean(dim=0), joint.mean, atol=0.15)


def bounded(n: int = 40) -> tuple[ArchitectureGP, torch.Tensor, torch.Tensor]:
    X = LAYOUT.sample(n, torch.Generator().manual_seed(0))
    accuracy = 100.0 * torch.sigmoid(1.0 + X[:, 1] + 2.0 * X[:, 2])
    Y = torch.stack([accuracy, X[:, 1]], dim=-1)
    return (
        ArchitectureGP(X, Y, LAYOUT, train_Yvar=torch.full_like(Y, 1e-4), outcomes=[Outcome((0.0, 100.0)), Outcome()]),
        X,
        Y,
    )


def test_bounded_outcomes_are_logits_with_noise_by_the_delta_method() -> None:
    p = torch.tensor([0.5, 0.9, 1.0], dtype=torch.float64)
    sem = torch.tensor([0.01, 0.01, 0.004], dtype=torch.float64)
    transform = OutcomeScaling([Outcome((0.0, 100.0))])
    values, variances = transform(100.0 * p[:, None], (100.0 * sem[:, None]).square())
    inside = torch.tensor([0.5, 0.9, 0.998], dtype=torch.float64)  # kept from 1 by half a standard error
    logits = torch.logit(MARGIN + (1.0 - 2.0 * MARGIN) * inside)
    assert torch.allclose(values[:, 0], (logits - logits.mean()) / logits.std())
    expected = OWN_NOISE * (sem / (inside * (1.0 - inside))).square() / logits.var()
    assert torch.allclose(variances[:, 0], expected)
    back, _ = transform.untransform(values)
    assert torch.allclose(back[:, 0], 100.0 * inside)
    again, is_certain = transform.to_standardized(back, None)
    assert torch.allclose(again, values)
    assert not is_certain.any()


def test_no_draw_leaves_the_bounds() -> None:
    model, X, Y = bounded()
    posterior = model.posterior(X[:5])
    draws = posterior.rsample(torch.Size([500]))[..., 0]
    assert 0.0 <= draws.min() < draws.max() <= 100.0
    assert torch.allclose(posterior.mean[:, 0], Y[:5, 0], atol=1.0)
    assert torch.allclose(model.predict_median(X[:5])[:, 0], Y[:5, 0], atol=1.0)


def test_mean_and_variance_of_a_bounded_outcome_are_those_of_its_draws() -> None:
    model, _, _ = bounded(6)
    rows = LAYOUT.sample(5, torch.Generator().manual_seed(3))
    posterior = model.posterior(rows)
    draws = posterior.rsample(torch.Size([20000]))
    assert torch.allclose(posterior.mean, draws.mean(dim=0), atol=1.5)
    assert torch.allclose(posterior.variance.sqrt(), draws.std(dim=0), rtol=0.35)


def test_missing_features_are_named() -> None:
    transform = OutcomeScaling([Outcome()] * 2, cost_outcomes=[1])
    with pytest.raises(SurrogateError, match="needs X"):
        transform(torch.zeros(3, 2), None, None)
    with pytest.raises(NotImplementedError, match="cannot be separated"):
        transform.subset_output([0])


def test_a_worse_tail_is_compressed_and_predictions_stay_in_natural_units() -> None:
    good = 88.0 + 5.0 * torch.rand(40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    Y = torch.cat([good, torch.tensor([45.0, 50.0, 70.0], dtype=torch.float64)])[:, None]
    shares = {}
    for sign in (0.0, 1.0):
        transform = OutcomeScaling([Outcome((0.0, 100.0), sign)])
        values, variances = transform(Y, torch.full_like(Y, 0.09))
        shares[sign] = float((values[:40].max() - values[:40].min()) / (values.max() - values.min()))
        back, _ = transform.untransform(values)
        assert torch.allclose(back, Y)
        again, _ = transform.to_standardized(Y, None)
        assert torch.allclose(again, values)
        slope = (transform.to_standardized(Y + 1e-5, None)[0] - transform.to_standardized(Y - 1e-5, None)[0]) / 2e-5
        expected = (OWN_NOISE * 0.09 * slope.square()).clamp_min(SMALLEST_VARIANCE)
        assert torch.allclose(variances, expected, rtol=0.05)
    assert shares[1.0] > 2.0 * shares[0.0]


def test_a_cost_of_known_range_is_not_warped() -> None:
    features = torch.tensor([[0.0, 1.0, 2.0, 0.5]] * 8, dtype=torch.float64)
    Y = torch.linspace(1.1, 2.9, 8, dtype=torch.float64)[:, None] ** 0.2 + 1.0
    plain, signed = (OutcomeScaling([Outcome(sign=sign)], cost_outcomes=[0]) for sign in (0.0, -1.0))
    assert torch.equal(plain(Y, None, features)[0], signed(Y, None, features)[0])
