from dataclasses import replace

from rich.console import Console

from aebnas_bo.analysis.front_table import front_table, limits_text, optimism_text
from aebnas_bo.analysis.pareto import pareto_front
from aebnas_bo.analysis.trained_point import TrainedPoint
from aebnas_bo.search.trial import observations

from .conftest import make_trial


def text(table) -> str:
    console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(table)
    return console.export_text()


def test_table_shows_key_metrics_rates_and_thresholds(trials, objectives) -> None:
    shown = text(front_table(pareto_front(trials, objectives), objectives))
    assert "Pareto front: 4 networks" in shown
    assert "90.00 ± 0.50" in shown
    assert "30 / 70" in shown  # trial 1 has the exit
    assert "– / 70" in shown  # trial 0 has not
    assert "0.25" in shown


def test_thresholds_that_are_no_parameters_are_shown(trials, objectives) -> None:
    tuned = [
        replace(
            trial,
            parameters={"exit1_depth": 1},
            points=(
                replace(
                    trial.points[0],
                    exit_rates={"exit1": 0.3, "exit2": 0.0, "final": 0.7},
                    thresholds={"exit1_threshold": 0.625},
                ),
            ),
        )
        for trial in trials
        if trial.points
    ]
    assert "0.62 / –" in text(front_table(pareto_front(tuned, objectives), objectives))


def test_long_fronts_are_thinned_out_evenly(objectives) -> None:
    front = observations([make_trial(n, 10.0 + n, 0.01 * n) for n in range(90)])
    shown = text(front_table(front, objectives))
    assert "90 networks, 30 of them shown" in shown
    assert "key0 " in shown
    assert "key89" in shown


def test_limits_are_put_into_words(trials, objectives) -> None:
    assert limits_text(trials, objectives) == ""
    limited = (replace(objectives[0], limit=60.0), replace(objectives[1], limit=3.5))
    assert limits_text(trials, limited) == "2 of 6 observations have accuracy >= 60 and average_macs <= 3.5"
    hard = (replace(objectives[0], limit=95.0), replace(objectives[1], limit=1.0))
    assert limits_text(trials, hard) == (
        "no network found has accuracy >= 95 and average_macs <= 1; trial 0 (key key0) is nearest and misses "
        "accuracy by 45 % and average_macs by 1 M"
    )
    assert "no network was evaluated" in limits_text([], hard)


def test_corrected_accuracies_have_a_column_behind_accuracy(trials, objectives) -> None:
    front = pareto_front(trials, objectives)
    lines = text(front_table(front, objectives, {(0, 0): 48.125})).splitlines()
    header = next(line for line in lines if "accuracy (%)" in line)
    assert header.index("accuracy (%)") < header.index("corrected (%)") < header.index("average_macs")
    assert "48.12" in next(line for line in lines if "key0" in line)
    assert "corrected" not in text(front_table(front, objectives))


def test_optimism_is_said_in_points() -> None:
    assert optimism_text({}) == ""
    assert optimism_text({"thresholds": 1.234}).endswith("mean optimism of tuning +1.23 points")
    assert optimism_text({"thresholds": 1.0, "choice": 2.5}).endswith("+1.00 points, of choosing the front +2.50")


def test_trained_networks_stand_beside_the_estimates_of_theirs(trials, objectives) -> None:
    front = pareto_front(trials, objectives)
    trained = [TrainedPoint("key1", "final", 200, 94.5, 3.9), TrainedPoint("key2", "short", 8, 61.0, 2.5)]
    lines = text(front_table(front, objectives, trained=trained)).splitlines()
    cells = {key: next(line for line in lines if key in line) for key in ("key0", "key1", "key2")}
    assert "94.50 at 3.9000, 200 epochs" in cells["key1"]
    assert "61.00 at 2.5000, 8 epochs (short)" in cells["key2"]
    assert "epochs" not in cells["key0"]
    assert "estimated" in lines[0]
    elsewhere = [TrainedPoint("key9", "final", 200, 94.5, 3.9)]
    assert "trained" not in text(front_table(front, objectives, trained=elsewhere))
