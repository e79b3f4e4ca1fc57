import pytest
import torch
from rich.console import Console

from aebnas_bo.analysis.selection import Selection
from aebnas_bo.deploy.training_pipeline import choose_candidate
from aebnas_bo.early_exit.exit_rule import ExitTable
from aebnas_bo.early_exit.threshold_tuning import TuningGoal
from aebnas_bo.errors import OutOfMemoryError, StopRequested
from aebnas_bo.preparation.progress import RunProgress
from aebnas_bo.shortlist import surrogate_choice
from aebnas_bo.shortlist.chosen_networks import ChosenNetworks
from aebnas_bo.shortlist.contenders import Contender, Pool
from aebnas_bo.shortlist.first_rung import choice_path, first_rung, obstacle
from aebnas_bo.shortlist.rungs import TunedNetworks, equal_epochs
from aebnas_bo.shortlist.short_training import ShortListContext
from aebnas_bo.shortlist.shortlist_study import read_pool
from aebnas_bo.space.macs import exit_costs
from surrogates.errors import NoCandidateError
from surrogates.next_training import NextTrainings

ANY = TuningGoal("max_macs", 1e9)
SETTINGS = ("data.max_train_images=300", "shortlist.rungs=[[6,1],[2,2]]")


@pytest.fixture
def context(tiny_run) -> ShortListContext:
    run = tiny_run(*SETTINGS)
    return ShortListContext(run, choose_candidate(run, Selection("best-accuracy"), ()).problem)


@pytest.fixture
def pool(context: ShortListContext) -> Pool:
    return read_pool(context, [ANY])


class Alone:
    """Tables by chance; notes which networks were trained, each once, and stops before one of them."""

    def __init__(self, context: ShortListContext, stop: int | None = None) -> None:
        self.skeleton, self.stop, self.trained = context.problem.space.skeleton, stop, dict[str, ExitTable]()

    def __call__(self, one: Contender, epochs: int) -> ExitTable:
        if one.key not in self.trained:
            if len(self.trained) == self.stop:
                raise StopRequested(15)
            macs = exit_costs(one.architecture, self.skeleton).cumulative
            drawn = torch.rand(2, len(macs), 40, generator=torch.Generator().manual_seed(int(one.key[:6], 16)))
            self.trained[one.key] = ExitTable(drawn[0], drawn[1] < 0.7, macs)
        return self.trained[one.key]


class Together(Alone):
    """Notes which networks were trained together."""

    def __init__(self, context: ShortListContext) -> None:
        super().__init__(context)
        self.batches: list[list[str]] = []

    def train_all(self, rung) -> None:
        self.batches.append([one.key for one, _ in rung if one.key not in self.trained])


@pytest.fixture
def asked(monkeypatch) -> list[tuple[int, int]]:
    """A surrogate that takes the worst networks by estimate; notes trainings and the number that was asked for."""
    noted: list[tuple[int, int]] = []

    def choose(pool: Pool, trained: TunedNetworks, space, *, count: int) -> NextTrainings:
        assert torch.get_num_threads() == 1
        keys = {one.contender.key for one in trained[ANY]}
        noted.append((len(keys), count))
        left = [place for place, one in enumerate(pool.ranked) if one.key not in keys]
        return NextTrainings(tuple(left[::-1][:count]), 0.625)

    monkeypatch.setattr(surrogate_choice, "choose_by_surrogate", choose)
    return noted


def chosen_by(
    context: ShortListContext, pool: Pool, train: Alone, goal: TuningGoal = ANY
) -> tuple[list[Contender], str]:
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    progress = RunProgress(console, quiet=False)
    rung = first_rung(context, pool, [goal], train=train, epochs_of=equal_epochs, progress=progress)
    return rung, console.export_text()


def listed(rung: list[Contender]) -> list[tuple[str, str]]:
    return [(one.key, one.origin) for one in rung]


def expected(pool: Pool, num_chosen: int = 3) -> list[tuple[str, str]]:
    first, last = pool.ranked[: 6 - num_chosen], pool.ranked[::-1][:num_chosen]
    return [*((one.key, "estimate") for one in first), *((one.key, "surrogate") for one in last)]


def test_after_the_beginning_trainings_decide_one_at_a_time(context: ShortListContext, pool: Pool, asked) -> None:
    train = Alone(context)
    rung, text = chosen_by(context, pool, train)
    assert listed(rung) == expected(pool)
    assert asked == [(3, 1), (4, 1), (5, 1)]
    assert list(train.trained) == [one.key for one in rung]
    assert "estimates and 5 short trainings: learned correlation 0.62; the surrogate chose 3 networks" in text


def test_choices_are_stored_and_not_made_again(context: ShortListContext, pool: Pool, asked) -> None:
    with pytest.raises(StopRequested):
        chosen_by(context, pool, Alone(context, stop=4))
    assert asked == [(3, 1), (4, 1)]
    train = Alone(context)
    rung, text = chosen_by(context, pool, train)
    assert asked == [(3, 1), (4, 1), (5, 1)]
    assert listed(rung) == expected(pool)
    assert chosen_by(context, pool, train) == (rung, text)
    assert len(asked) == 3
    other = TuningGoal("max_macs", 2e9)
    assert choice_path(context, pool, [ANY]) != choice_path(context, read_pool(context, [other]), [other])


def test_other_trials_are_another_choice(context: ShortListContext, pool: Pool) -> None:
    fewer = Pool(pool.plain, pool.ranked, pool.observed[:-1])
    assert choice_path(context, pool, [ANY]) != choice_path(context, fewer, [ANY])


def test_workers_train_the_beginning_together_and_then_the_rest(context: ShortListContext, pool: Pool, asked) -> None:
    train = Together(context)
    rung, _ = chosen_by(context, pool, train)
    assert asked == [(3, 3)]
    assert listed(rung) == expected(pool)
    assert [batch for batch in train.batches if batch] == [[one.key for one in rung[:3]], [one.key for one in rung[3:]]]


@pytest.mark.parametrize(
    ("error", "reason"),
    [(ValueError("not positive definite"), "the surrogate failed (ValueError: not positive definite)"),
     (NoCandidateError("all"), "every network within a budget is trained already")],
)  # fmt: skip
def test_estimates_complete_a_list_that_the_surrogate_cannot(
    context: ShortListContext, pool: Pool, monkeypatch, error: Exception, reason: str
) -> None:
    calls: list[int] = []

    def fail(*_: object, count: int) -> NextTrainings:
        calls.append(count)
        raise error

    monkeypatch.setattr(surrogate_choice, "choose_by_surrogate", fail)
    for _ in range(2):  # the failure is stored too: a resumed list is the same
        rung, text = chosen_by(context, pool, Alone(context))
        assert listed(rung) == expected(pool, 0)
        assert f"short list: the best estimates complete it, because {reason}" in text
        assert "learned correlation" not in text
    assert calls == [1]
    assert ChosenNetworks.read(choice_path(context, pool, [ANY])).failure == reason


def test_a_full_memory_is_no_reason_to_choose_otherwise(context: ShortListContext, pool: Pool, monkeypatch) -> None:
    def fail(*_: object, count: int) -> NextTrainings:
        raise MemoryError

    monkeypatch.setattr(surrogate_choice, "choose_by_surrogate", fail)
    with pytest.raises(OutOfMemoryError):
        chosen_by(context, pool, Alone(context))
    assert not choice_path(context, pool, [ANY]).exists()


def test_without_a_limit_of_macs_estimates_choose(context: ShortListContext, asked) -> None:
    goal = TuningGoal("min_accuracy", 30.0)
    pool = read_pool(context, [goal])
    rung, text = chosen_by(context, pool, Alone(context), goal)
    assert rung == pool.choose(6)
    assert "chosen by estimates alone, because the surrogate compares accuracies within a limit" in text
    assert "the goal is accuracy>=30" in text
    assert asked == []


def test_what_prevents_a_surrogate(context: ShortListContext, pool: Pool, monkeypatch) -> None:
    space = context.problem.space
    assert obstacle(pool, [ANY], space) == ""
    few = Pool((), pool.ranked[:9], pool.observed)
    assert obstacle(few, [ANY], space) == "the search found only 9 networks, and the surrogate needs 10"
    monkeypatch.setattr(type(space), "tunes_thresholds", property(lambda _: True))
    assert obstacle(pool, [ANY], space) == ""
    assert "the same estimate for all budgets" in obstacle(pool, [ANY, TuningGoal("max_macs", 1e5)], space)


@pytest.mark.slow
def test_a_real_surrogate_chooses_the_same_networks_again(context: ShortListContext, pool: Pool) -> None:
    first, _ = chosen_by(context, pool, Alone(context))
    choice_path(context, pool, [ANY]).unlink()
    again, _ = chosen_by(context, pool, Alone(context))
    assert listed(first) == listed(again)
    assert [one.origin for one in first] == ["estimate"] * 3 + ["surrogate"] * 3
