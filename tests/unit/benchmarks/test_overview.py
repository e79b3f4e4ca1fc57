"""The comparison over problems: shares, verdicts and ranks by hand-computed figures; seeds for choosing constants."""

import numpy as np
import pytest

from benchmarks.comparison import FEWEST_SEEDS
from benchmarks.curves import Run, load_runs
from benchmarks.methods import methods
from benchmarks.overview import ABOVE, BELOW, MARKS, overview, share_table, shares, verdicts
from benchmarks.plots import COLOURS, plot_problem
from benchmarks.problem import Problem, load_problem
from benchmarks.run import expand, run


def make_run(problem: str, method: str, seed: int, last: float, evaluations: int = 50) -> Run:
    curve = tuple(np.linspace(0.0, last, evaluations + 1)[1:])
    return Run(problem, method, seed, curve, curve, (0.1,) * evaluations)


def test_shares_are_of_the_best_hypervolume_and_of_runs_that_are_long_enough() -> None:
    runs = [make_run("p", "random", 0, 5.0), make_run("p", "random", 1, 6.0, evaluations=30)]
    assert shares(runs, 10.0, 50)["random"].tolist() == [0.5]
    assert shares(runs, 10.0, 25)["random"] == pytest.approx([0.25, 0.5])
    assert shares(runs, 10.0, 100) == {}


def test_verdicts_need_a_difference_and_enough_seeds() -> None:
    ours = np.linspace(0.5, 0.6, 8)
    found = {
        "qnehvi": ours,
        "sobol": ours - 0.2,
        "random": ours + 0.2,
        "optuna-tpe": ours + 0.001,
        "aebnas": ours[:3] - 0.2,
    }
    assert FEWEST_SEEDS == 4
    assert verdicts(found) == {"sobol": ABOVE, "random": BELOW}
    assert verdicts({"sobol": ours}) == {}


def test_the_table_of_a_problem_has_marks_seeds_and_verdicts() -> None:
    runs = [make_run("p", "qnehvi", seed, 9.0 + 0.01 * seed) for seed in range(5)]
    runs += [make_run("p", "random", seed, 5.0 + 0.01 * seed, evaluations=50 if seed else 30) for seed in range(5)]
    lines = share_table(runs, 10.0)
    assert lines[2].startswith("| **qnehvi** | 5 | 0.4510 ± 0.0004 | 0.9020 ± 0.0007 |  |  | 0.10 |")
    assert "| random | 5 |" in lines[3]
    assert "0.5025 ± 0.0006 (4 seeds) ▲ |" in lines[3]


def test_the_overview_counts_leads_and_ranks() -> None:
    lasts = {"p": (9.0, 5.0), "q": (4.0, 6.0)}
    runs = [
        make_run(problem, method, seed, last + 0.01 * seed)
        for problem, pair in lasts.items()
        for method, last in zip(("qnehvi", "random"), pair, strict=True)
        for seed in range(5)
    ]
    text = overview(runs, {"p": 10.0, "q": 10.0})
    assert "| 50 | 2 | 1 | q (random) | q (random) |" in text
    assert "| 100 | 0 | 0 | none | none |" in text
    assert "| qnehvi | 1.50 (2) | 1.50 (2) |  |  |" in text


def test_ranks_over_six_problems_are_tested() -> None:
    runs = [
        make_run(f"p{i}", method, 0, last) for i in range(6) for method, last in (("qnehvi", 2.0 + i), ("random", 1.0))
    ]
    text = "\n".join(overview(runs, {f"p{i}": 10.0 for i in range(6)}))
    assert "| random | 2.00 (6, p 0.031) |" in text  # 2 / 2 ** 6: ours leads on all six


def test_groups_of_problems_are_expanded() -> None:
    assert expand(["nats", "digits/tiny"]) == ["nats/cifar10", "nats/cifar100", "nats/imagenet16-120", "digits/tiny"]
    assert len(expand(["function"])) == 6


@pytest.fixture(scope="module")
def function() -> Problem:
    return load_problem("function/dtlz2")


def test_seeds_for_choosing_constants_are_left_out(function, tmp_path) -> None:
    for seed in (0, 100):
        run(function, "random", methods()["random"], seed, 3, tmp_path)
    reported, best = load_runs(tmp_path)
    assert [one.seed for one in reported] == [0]
    assert best == {"function/dtlz2": function.best_hypervolume}
    assert [one.seed for one in load_runs(tmp_path, is_dev=True)[0]] == [100]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["random", "optuna-gp"])
def test_a_function_is_searched_and_continued(function, tmp_path, name) -> None:
    for folder, budgets in (("whole", (14,)), ("parts", (11, 14))):
        for budget in budgets:
            run(function, name, methods()[name], 0, budget, tmp_path / folder)
    [whole], [parts] = (load_runs(tmp_path / folder)[0] for folder in ("whole", "parts"))
    assert whole.trials == parts.trials
    assert len(whole.trials) == 14
    plot_problem(tmp_path / "figure.png", [whole], function.best_hypervolume)
    assert (tmp_path / "figure.png").stat().st_size > 5_000


def test_every_method_has_a_colour() -> None:
    assert set(methods()) == set(COLOURS)
    assert list(MARKS) == sorted(MARKS)
