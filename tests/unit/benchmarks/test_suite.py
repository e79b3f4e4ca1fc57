"""The benchmark suite: runs are files that are continued, and comparisons add up."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from aebnas_bo.early_exit.exit_rule import evaluate_thresholds
from aebnas_bo.early_exit.threshold_tuning import tune_thresholds
from aebnas_bo.estimation.estimate import Estimate, Measurement, OperatingPoint
from aebnas_bo.estimation.settings import EstimationConfig
from aebnas_bo.search.objectives import Objective, constraint
from aebnas_bo.search.trial import Trial
from aebnas_bo.space.macs import ExitCosts
from aebnas_bo.space.search_space import ContinuousParameter, SearchSpace
from benchmarks import joint_loss, threshold_tuning
from benchmarks.compare import main as compare_main
from benchmarks.comparison import compare, evaluations_to_reach, holm
from benchmarks.curves import Run, check_hypervolume, load_runs
from benchmarks.methods import methods
from benchmarks.problem import Problem, load_problem
from benchmarks.records import Header, RunFile, read_run, run_path
from benchmarks.run import run
from benchmarks.surrogate_quality import HEADER, print_medians
from benchmarks.threshold_samples import SHARES, Pool
from benchmarks.threshold_samples import compare as compare_samples

TABLE = Path(__file__).resolve().parents[3] / "docs" / "examples" / "digits_table.csv"
PEERS = ["optuna-tpe", "optuna-nsga2", "pymoo-nsga2"]


@pytest.fixture(scope="module")
def problem():
    return load_problem(f"table:{TABLE}")


def test_proposals_are_timed_by_the_processor_time_of_all_they_propose(problem, tmp_path: Path, monkeypatch) -> None:
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr("benchmarks.run.time.process_time", lambda: float(next(clock)))
    run(problem, "random", methods()["random"], 0, 3, tmp_path)
    assert [trial.generation_s for trial in read_run(run_path(tmp_path, problem.name, "random", 0))[1]] == [10.0] * 3


def points(path: Path) -> list:
    return [trial.parameters for trial in read_run(path)[1]]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["random", "aebnas", *PEERS])
def test_an_interrupted_run_ends_as_the_whole_one(name, problem, tmp_path: Path) -> None:
    method = methods()[name]
    if name == "aebnas":
        method = replace(method, settings=method.settings.model_copy(update={"design_trials": 20}))
    for folder, budgets in (("whole", (34,)), ("parts", (9, 23, 34))):
        for budget in budgets:
            run(problem, name, method, 1, budget, tmp_path / folder)
    whole, parts = (run_path(tmp_path / folder, problem.name, name, 1) for folder in ("whole", "parts"))
    assert points(whole) == points(parts)
    assert len(points(whole)) == 34
    other = run_path(tmp_path, problem.name, name, 2)
    run(problem, name, method, 2, 9, tmp_path)
    assert points(other) != points(whole)[:9]


@pytest.mark.slow
def test_evolution_learns(problem, tmp_path: Path) -> None:
    for name in ("pymoo-nsga2", "random"):
        for seed in range(3):
            run(problem, name, methods()[name], seed, 120, tmp_path)
    runs, _ = load_runs(tmp_path)
    finals = {name: np.mean([r.trials[-1] for r in runs if r.method == name]) for name in ("pymoo-nsga2", "random")}
    assert finals["pymoo-nsga2"] > finals["random"]


def test_a_torn_last_line_is_dropped_and_another_run_refused(problem, tmp_path: Path) -> None:
    path = run_path(tmp_path, problem.name, "random", 0)
    run(problem, "random", methods()["random"], 0, 5, tmp_path)
    whole = path.read_text()
    path.write_text(whole[:-20])
    header = Header(problem.name, "random", 0, problem.objectives)
    assert len(RunFile(path, header).trials) == 4
    run(problem, "random", methods()["random"], 0, 5, tmp_path)
    assert points(path) == [json.loads(line)["parameters"] for line in whole.splitlines()[1:]]
    with pytest.raises(ValueError, match="move it away"):
        RunFile(path, replace(header, seed=3))


def test_a_file_keeps_operating_points_and_leaves_out_exit_rates(problem, tmp_path: Path) -> None:
    figures = {"accuracy": 1 / 3, "average_macs": 2.0}
    point = OperatingPoint(figures, figures, {"exit1": 1.0}, {"exit1_threshold": 0.5})
    done = Trial(0, "k", "COMPLETED", {"width": 8}, points=(point, point), generation_s=0.5)
    file = RunFile(tmp_path / "run.jsonl", Header(problem.name, "random", 0, problem.objectives))
    file.append([done, Trial(1, "", "FAILED", {"width": 8}, "bad")])
    first, second = (
        json.loads((tmp_path / "run.jsonl").read_text().splitlines()[1]),
        read_run(tmp_path / "run.jsonl")[1],
    )
    assert list(first)[-5:] == ["metrics", "sems", "generation_s", "evaluation_s", "further"]
    assert first["further"] == [{"thresholds": {"exit1_threshold": 0.5}, "metrics": figures, "sems": figures}]
    bare = OperatingPoint(figures, figures, {}, {"exit1_threshold": 0.5})
    assert second == [replace(done, points=(replace(bare, thresholds={}), bare)), file.trials[1]]


def test_a_peer_that_is_told_of_strange_trials_says_so(problem) -> None:
    from aebnas_bo.search.search_loop import evaluate_trial, propose_trials

    method = methods()["pymoo-nsga2"]
    strange = Trial(0, "", "RUNNING", problem.space.sample(np.random.default_rng(99)))
    trials = [evaluate_trial(strange, problem.estimator, problem.objectives)]
    with pytest.raises(ValueError, match="trial 0 is not what the peer proposed"):
        propose_trials(method.strategy(problem, 0), trials, method.settings)
    with pytest.raises(ValueError, match="one point at a time"):
        method.strategy(problem, 0).propose([], 2)


def test_unknown_problem_is_named() -> None:
    with pytest.raises(ValueError, match="no problem 'digits'; expected one of"):
        load_problem("digits")


def make_run(method: str, seed: int, values: list[float]) -> Run:
    return Run("p", method, seed, tuple(values), tuple(v + 0.5 for v in values), (0.1,) * len(values))


def test_methods_are_compared_by_hand_computed_figures() -> None:
    runs = [make_run("qnehvi", s, [1.0, 5.0 + 0.1 * s, 7.0 + 0.1 * s]) for s in range(4)]
    runs += [make_run("sobol", s, [1.0, 2.0, 5.55 + 0.01 * s]) for s in range(4)]
    runs += [make_run("random", 0, [1.0, 9.0])]  # too short to count
    ours, theirs = compare(runs, best=9.0, evaluations=3, measure="own")
    assert (ours.method, theirs.method) == ("qnehvi", "sobol")
    assert ours.mean == pytest.approx(7.65)  # with its settings
    assert theirs.mean == pytest.approx(5.565)
    assert theirs.log_difference == pytest.approx(math.log10(9.0 - 5.565), abs=1e-3)
    assert theirs.area == pytest.approx((8.0 + 7.0 + 3.435) / 3.0)
    assert theirs.reached == 2  # with settings 5.6, 5.7 and 5.8 are there after 2, one run after 3
    assert theirs.p_value == pytest.approx(1.0 / 70.0)  # all of ours above all of theirs
    assert ours.p_value is None
    both = compare(runs, best=9.0, evaluations=3, measure="settings")
    assert both[1].mean == pytest.approx(6.065)


def test_evaluations_to_reach_a_value() -> None:
    curves = np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 3.0], [0.0, 0.0, 0.0]])
    assert evaluations_to_reach(curves, 2.0) == 3
    assert evaluations_to_reach(curves, 0.0) == 1
    assert evaluations_to_reach(curves, 3.5) is None
    assert evaluations_to_reach(None, 1.0) is None


def test_holm_steps_down() -> None:
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})
    assert holm({}) == {}


def test_a_wrong_hypervolume_is_noticed(problem, tmp_path: Path) -> None:
    run(problem, "random", methods()["random"], 0, 12, tmp_path)
    [found], best = load_runs(tmp_path)  # checks the right one
    _, trials = read_run(run_path(tmp_path, problem.name, "random", 0))
    assert best == {problem.name: problem.best_hypervolume}
    assert 0.5 * problem.best_hypervolume < found.settings[-1] <= problem.best_hypervolume
    with pytest.raises(ValueError, match="by pymoo"):
        check_hypervolume(found.settings[-1] * 1.001, trials, problem.objectives)


@pytest.mark.slow
def test_compare_writes_tables_figures_and_rows(problem, tmp_path: Path, monkeypatch, capsys) -> None:
    for name in ("random", "sobol"):
        run(problem, name, methods()[name], 0, 100, tmp_path / "runs")
    arguments = ["compare", str(tmp_path / "runs"), "--out", str(tmp_path / "out"), "--figures", str(tmp_path / "png")]
    monkeypatch.setattr("sys.argv", arguments)
    compare_main()
    assert "After 100 evaluations" in capsys.readouterr().out
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["tables.md"]
    assert (tmp_path / "png" / "search-table-digits_table.png").stat().st_size > 10_000
    assert "| sobol | 1 |" in (tmp_path / "out" / "tables.md").read_text()


def test_medians_of_surrogates_are_over_seeds(capsys) -> None:
    rows = [
        ["digits/tiny", seed, "50", "accuracy", "from nothing", r2, "0.7", "0.95"]
        for seed, r2 in (("0", "0.1"), ("1", "0.9"), ("2", "0.8"))
    ]
    print_medians([dict(zip(HEADER, row, strict=True)) for row in rows])
    assert capsys.readouterr().out.splitlines() == [
        "| problem | trials | metric | surrogate | seeds | r2 | kendall_tau | coverage |",
        "|---|---|---|---|---|---|---|---|",
        "| digits/tiny | 50 | accuracy | from nothing | 3 | 0.800 | 0.700 | 95.0 % |",
    ]


@pytest.mark.slow
def test_variants_of_the_joint_loss_are_trained_once_each(tmp_path: Path, monkeypatch, capsys) -> None:
    out, root = tmp_path / "joint.csv", TABLE.parents[2]
    few = ["--set", "final_training.epochs=1", "--set", "data.max_train_images=300"]
    monkeypatch.chdir(root)
    monkeypatch.setattr("sys.argv", ["joint_loss", "configs/digits.yaml", "--out", str(out), *few])
    joint_loss.main()
    rows = out.read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["variant", "none", "cost", "peak", "both"]
    assert len({tuple(row.split(",")[4:]) for row in rows}) == 5  # every variant trains another network
    monkeypatch.setattr(joint_loss, "train_from_scratch", lambda *_, **__: pytest.fail("trained again"))
    joint_loss.main()
    assert out.read_text().splitlines() == rows
    assert "both (1 seeds)" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("goal", threshold_tuning.GOALS, ids=lambda goal: goal.kind)
def test_tuned_thresholds_are_no_worse_than_those_of_a_loop_over_images(goal, monkeypatch) -> None:
    monkeypatch.setattr(threshold_tuning, "IMAGES", 150)
    table, (backbone, branches) = threshold_tuning.make_table(), (threshold_tuning.BACKBONE, threshold_tuning.BRANCHES)
    grid = (0.3, 0.6, 0.8, 0.9, 1.0)

    def score(thresholds) -> float:
        outcome = evaluate_thresholds(table, thresholds)
        values = (torch.tensor([value], dtype=torch.float64) for value in (outcome.accuracy, outcome.average_macs))
        return float(goal.scores(*values)[0])

    tuned = tune_thresholds(table, backbone=backbone, branches=branches, goal=goal, grid=grid, may_switch_off=False)
    assert score(tuned.thresholds) >= score(threshold_tuning.loop_over_images(table, grid, goal))


@pytest.mark.slow
def test_speed_of_tuning_is_written_down(tmp_path: Path, monkeypatch) -> None:
    for name, value in (("IMAGES", 100), ("REPEATS", 1), ("LOOP_GRID", (0.5, 1.0))):
        monkeypatch.setattr(threshold_tuning, name, value)
    monkeypatch.setattr("sys.argv", ["threshold_tuning", "--out", str(tmp_path / "speed.txt")])
    threshold_tuning.main()
    lines = (tmp_path / "speed.txt").read_text().splitlines()
    assert len(lines) == 1 + 2 * len(threshold_tuning.GOALS)
    assert "times faster" in lines[1]


@pytest.mark.slow
def test_threshold_samples_judge_each_way_on_the_images_left_over() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 3, (400,), generator=generator)
    outputs = [
        strength * torch.nn.functional.one_hot(labels, 3) + torch.randn(400, 3, generator=generator)
        for strength in (1.0, 2.0)
    ]
    costs = ExitCosts(stem=10, stages=(30, 50), head=10, branches=(4,), exits=(0,), exit_stages=(0,))
    rows = compare_samples(Pool(outputs, labels, costs, EstimationConfig()), 50, repeats=3, price=0.2)
    assert len(rows) == len(SHARES)
    for budget, counts, probabilities, ensemble, saving, *macs, gain, _, gain_of_ensemble, _, loss, sem in rows:
        assert costs.cumulative[0] <= 1e6 * budget <= costs.cumulative[-1]
        assert gain == pytest.approx(probabilities - counts)
        assert gain_of_ensemble == pytest.approx(ensemble - probabilities)
        assert loss == pytest.approx(saving - ensemble)
        assert sem >= 0.0
        assert len(macs) == 4
        assert macs[3] <= macs[2]
        assert all(0.0 < one <= 1.1 * budget for one in macs)


LIMITED = SearchSpace((ContinuousParameter("x"), ContinuousParameter("y")))


class Limited:
    """Both metrics are best at x = y = 0, which the constraint forbids."""

    search_space = LIMITED

    def estimate(self, point) -> Estimate:
        x, y = point["x"], point["y"]
        metrics = {"a": 1.0 - x - 0.1 * y, "b": 1.0 - y - 0.1 * x, "slack": x + y - 1.2}
        return Estimate(LIMITED.key(point), {name: Measurement(value) for name, value in metrics.items()})


@pytest.mark.slow
@pytest.mark.parametrize("name", ["aebnas", "optuna-gp", *PEERS])
def test_peers_keep_constraints(name, tmp_path: Path) -> None:
    objectives = (Objective("a", True, 0.0), Objective("b", True, 0.0), constraint("slack >= 0"))
    method = methods()[name]
    if name == "aebnas":
        method = replace(method, settings=method.settings.model_copy(update={"design_trials": 20}))
    evaluations = {"optuna-gp": 22, "aebnas": 52}.get(name, 80)  # slow ones need fewer
    last = evaluations * 3 // 8
    run(Problem("limited", LIMITED, Limited(), objectives), name, method, 0, evaluations, tmp_path)
    slacks = [trial.metrics["slack"] for trial in read_run(run_path(tmp_path, "limited", name, 0))[1]]
    assert sum(slack >= 0.0 for slack in slacks[-last:]) > last / 2  # of random points, 32 %
