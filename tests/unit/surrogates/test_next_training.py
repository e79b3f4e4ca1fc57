import pytest
import torch

from surrogates import next_training as module
from surrogates.errors import NoCandidateError, SurrogateError
from surrogates.next_training import Contest, choose_trainings
from surrogates.two_fidelity import Accuracies, TwoFidelityGP

from .test_two_fidelity import LAYOUT, NOISE, estimate_of, percent, rows, trained_of

N = 24


def networks() -> torch.Tensor:
    return torch.unique(rows(60, 3), dim=0)[:N]


def study(trained: list[int]) -> Accuracies:
    """Estimates of all networks, and trainings of some."""
    X = networks()
    mean = torch.cat([percent(estimate_of(X)), percent(trained_of(X[trained]))])
    return Accuracies(torch.cat([X, X[trained]]), torch.arange(len(mean)) >= N, mean, torch.full_like(mean, NOISE))


def whole() -> Contest:
    return Contest(networks(), tuple(range(N)))


@pytest.fixture
def unfitted(monkeypatch) -> None:
    monkeypatch.setattr(TwoFidelityGP, "fit", lambda self: self)


@pytest.mark.slow
def test_trainings_find_what_estimates_cannot_see() -> None:
    """Estimates know nothing of the column that decides."""
    X = networks()
    truth, by_estimate = X[:, 2] - 0.1 * X[:, 0], estimate_of(X).argsort(descending=True).tolist()
    best = int(truth.argmax())
    assert best not in by_estimate[:8]
    taken = by_estimate[:3]
    while len(taken) < 8:
        mean = percent(torch.cat([estimate_of(X), truth[taken]]) - 2.0)
        data = Accuracies(torch.cat([X, X[taken]]), torch.arange(len(mean)) >= N, mean, torch.full_like(mean, NOISE))
        taken += choose_trainings(data, LAYOUT, [whole()], taken=taken).networks
    assert len(set(taken)) == 8
    assert best in taken


@pytest.mark.usefixtures("unfitted")
def test_a_choice_is_deterministic_and_never_repeats_a_network() -> None:
    one, other = (choose_trainings(study([0, 5]), LAYOUT, [whole()], taken=[0, 5], count=4) for _ in range(2))
    assert one == other
    assert len({*one.networks, 0, 5}) == 6


@pytest.mark.usefixtures("unfitted")
def test_the_second_of_a_batch_takes_the_prediction_of_the_first_into_account(monkeypatch) -> None:
    seen: list[Accuracies] = []
    with_observed = TwoFidelityGP.with_observed

    def noting(self: TwoFidelityGP, observed: Accuracies) -> TwoFidelityGP:
        seen.append(observed)
        return with_observed(self, observed)

    monkeypatch.setattr(TwoFidelityGP, "with_observed", noting)
    data = study([0, 5])
    found = choose_trainings(data, LAYOUT, [whole(), whole()], taken=[0, 5], count=2)
    first, believed = seen[0], seen[1]
    assert len(first.X) == len(data.X)
    assert len(believed.X) == len(data.X) + 2  # one row per contest
    assert torch.equal(believed.X[-1], networks()[found.networks[0]])
    model = TwoFidelityGP(data, LAYOUT)
    predicted, _, _ = model.predict_percent(networks()[list(found.networks[:1])], torch.tensor([True]))
    assert believed.mean[-1] == pytest.approx(float(predicted))
    assert believed.is_trained[-2:].all()


@pytest.mark.usefixtures("unfitted")
def test_only_networks_of_a_contest_are_chosen() -> None:
    few = Contest(networks()[3:6], (3, 4, 5))
    found = choose_trainings(study([0, 4]), LAYOUT, [few], taken=[0, 4], count=9)
    assert set(found.networks) == {3, 5}
    with pytest.raises(NoCandidateError, match="trained already"):
        choose_trainings(study([0, 4]), LAYOUT, [few], taken=[3, 4, 5])


def test_hyper_parameters_are_fitted_to_the_first_estimates_and_all_trainings(monkeypatch) -> None:
    monkeypatch.setattr(module, "MOST_FITTED", 10)
    fitted: list[int] = []

    def fit(self: TwoFidelityGP) -> TwoFidelityGP:
        fitted.append(len(self._targets))
        return self

    monkeypatch.setattr(TwoFidelityGP, "fit", fit)
    choose_trainings(study([0, 5]), LAYOUT, [whole()], taken=[0, 5])
    assert fitted == [12]


def test_what_does_not_fit_together_is_refused(monkeypatch) -> None:
    with pytest.raises(SurrogateError, match="a network for each of 24 rows, got 2"):
        Contest(networks(), (0, 1))
    monkeypatch.setattr(TwoFidelityGP, "fit", lambda self: self)
    predict = TwoFidelityGP.predict
    monkeypatch.setattr(TwoFidelityGP, "predict", lambda *given: tuple(part * torch.nan for part in predict(*given)))
    with pytest.raises(SurrogateError, match="not finite"):
        choose_trainings(study([0]), LAYOUT, [whole()], taken=[0])
