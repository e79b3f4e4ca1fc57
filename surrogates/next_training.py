r"""Which networks to train next: those with the largest knowledge gradient, summed over budgets of cost.

The two-fidelity model is fitted on all estimates and on the trainings so far. A network may compete for several
budgets, at other thresholds for each. The value of its training is the sum over these budgets of the expected gain in
the best predicted accuracy of trained networks (`knowledge_gradient.values_of_trainings`). If several networks are
chosen at once, each is followed by its predicted accuracies as if they had been observed, with hyper-parameters as
fitted.

Legend: `n` observations, `k` rows of a contest, `N` networks, `d` columns.

References:
    D. Ginsbourger, R. Le Riche, L. Carraro. Kriging Is Well-Suited to Parallelize Optimization. In: Computational
    Intelligence in Expensive Optimization Problems, 2010, section 4 (the kriging believer).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from surrogates.columns import ColumnLayout
from surrogates.errors import NoCandidateError, SurrogateError
from surrogates.knowledge_gradient import values_of_trainings
from surrogates.two_fidelity import Accuracies, TwoFidelityGP

MOST_FITTED = 128  # estimates to which hyper-parameters are fitted; the model is conditioned on all


@dataclass(frozen=True)
class Contest:
    """Networks that compete for one budget of cost.

    Args:
        X: Row of each, at the thresholds that are best for the budget, `k x d`.
        networks: Number of each network, at most one row per network.

    Raises:
        SurrogateError: If the number of rows and of networks differ.
    """

    X: Tensor
    networks: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.X) != len(self.networks):
            raise SurrogateError(f"expected a network for each of {len(self.X)} rows, got {len(self.networks)}")


@dataclass(frozen=True)
class NextTrainings:
    """Chosen networks.

    Args:
        networks: Their numbers, in the order of choice.
        correlation: Learned correlation of estimates with accuracies of trained networks.
    """

    networks: tuple[int, ...]
    correlation: float


def choose_trainings(
    observed: Accuracies,
    layout: ColumnLayout,
    contests: Sequence[Contest],
    *,
    taken: Sequence[int] = (),
    count: int = 1,
) -> NextTrainings:
    """Fit the model and choose the networks to train next; equal values are decided in favour of the lower number.

    Args:
        observed: Estimates, the most important ones first, and trainings so far.
        layout: Meaning of the columns.
        contests: Networks that compete for each budget, trained ones included.
        taken: Numbers of the networks that are trained already.
        count: Number of networks to choose; fewer are returned if there are fewer.

    Raises:
        NoCandidateError: If every network of the contests is trained already.
        SurrogateError: If the fitted model has no finite values.
    """
    model = TwoFidelityGP(_most_important(observed), layout).fit().with_observed(observed)
    chosen: list[int] = []
    while len(chosen) < count:
        values = _values(model, contests, taken={*taken, *chosen})
        if not values:
            break
        if not torch.tensor(list(values.values())).isfinite().all():
            raise SurrogateError("the values of the next trainings are not finite")
        best = max(values, key=lambda network: (values[network], -network))
        chosen.append(best)
        if len(chosen) < count:
            observed = _believed(model, observed, contests, network=best)
            model = model.with_observed(observed)
    if not chosen:
        raise NoCandidateError("every network that competes for a budget is trained already")
    return NextTrainings(tuple(chosen), model.correlation)


def _most_important(observed: Accuracies) -> Accuracies:
    """Return the first `MOST_FITTED` estimates and all trainings."""
    kept = observed.is_trained | ((~observed.is_trained).cumsum(0) <= MOST_FITTED)
    return Accuracies(observed.X[kept], observed.is_trained[kept], observed.mean[kept], observed.variance[kept])


def _values(model: TwoFidelityGP, contests: Sequence[Contest], *, taken: set[int]) -> dict[int, float]:
    """Return the value of the training of each network that is not taken."""
    values: dict[int, float] = {}
    for contest in contests:
        done = [place for place, network in enumerate(contest.networks) if network in taken]
        left = [place for place, network in enumerate(contest.networks) if network not in taken]
        if left:
            numbers = [contest.networks[place] for place in left]
            gains = values_of_trainings(model, contest.X[done], contest.X[left])
            for network, gain in zip(numbers, gains.tolist(), strict=True):
                values[network] = values.get(network, 0.0) + gain
    return values


def _believed(model: TwoFidelityGP, observed: Accuracies, contests: Sequence[Contest], *, network: int) -> Accuracies:
    """Return the observations with the predicted accuracies of a network, which have the noise of estimates."""
    rows = [contest.X[contest.networks.index(network)] for contest in contests if network in contest.networks]
    X, is_trained = torch.stack(rows), torch.ones(len(rows), dtype=torch.bool)
    mean, _, _ = model.predict_percent(X, is_trained)
    variance = observed.variance[~observed.is_trained].mean().expand(len(rows))
    return Accuracies(
        torch.cat([observed.X, X]),
        torch.cat([observed.is_trained, is_trained]),
        torch.cat([observed.mean, mean]),
        torch.cat([observed.variance, variance]),
    )
