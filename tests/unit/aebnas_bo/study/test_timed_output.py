from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from rich.console import Console

from aebnas_bo.early_exit.threshold_tuning import TuningGoal
from aebnas_bo.shortlist.rungs import RungResult
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.study.timed_output import next_step, print_timed
from aebnas_bo.study.timed_run import TimedResult

JUDGEMENT = RungResult(
    0, 8, "aaaa", TuningGoal("max_macs", 2e6), 91.0, 80.0, 1.5, 0.0, 0.0, is_met=True, is_kept=True
)  # fmt: skip


def network(key: str, validation: float, test: float, macs: float = 1.25) -> Any:
    return SimpleNamespace(
        key=key,
        validation=SimpleNamespace(accuracy=validation, average_macs=macs),
        test=SimpleNamespace(accuracy=test, average_macs=1.25, worst_case_macs=2.5),
        outputs=(None, None, None),
        origin=SimpleNamespace(epochs=40),
    )


def result(*networks: Any) -> TimedResult:
    return TimedResult(SimpleNamespace(), [JUDGEMENT], list(networks), 1500.0)  # type: ignore[arg-type]


def test_short_list_and_trained_networks_are_shown() -> None:
    console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    print_timed(console, result(network("bbbb", 93.5, 92.25)))
    text = console.export_text()
    assert "macs<=2" in text
    [row] = [line.split() for line in text.splitlines() if "bbbb" in line]
    assert [cell for cell in row if cell != "│"] == ["bbbb", "93.50", "92.25", "1.2500", "2.5000", "2", "40"]
    assert text.rstrip().endswith("25 min in all")
    assert "do not rank" not in text


def test_estimates_of_a_brief_search_are_said_not_to_be_shown() -> None:
    console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    print_timed(console, replace(result(network("bbbb", 93.5, 92.25)), is_brief=True))
    assert "its estimates do not rank networks and are not shown" in console.export_text()


def test_networks_that_are_no_better_than_a_cheaper_one_are_named() -> None:
    console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    rising = [network("aaaa", 90.0, 90.0, 0.5), network("bbbb", 93.5, 92.0, 1.0), network("cccc", 93.6, 92.0, 4.0)]
    print_timed(console, result(*rising))
    assert "not more accurate" not in console.export_text()
    print_timed(console, result(*rising, network("dddd", 93.5, 92.0, 2.0), network("eeee", 93.5, 99.0, 1.0)))
    assert [line for line in console.export_text().splitlines() if "not more accurate" in line] == [
        "dddd costs more than bbbb and is not more accurate on the validation images: 93.50 and 93.50 %"
    ]


def test_the_next_step_exports_the_network_that_is_best_on_validation_images() -> None:
    two = result(network("bbbb", 93.5, 92.0), network("cccc", 93.0, 99.0))
    step = next_step(RunFolder(Path("my run")), two, has_front=True)
    assert step.startswith("next: aebnas-bo export 'my run' --select bbbb --format onnx")


def test_the_next_step_after_a_search_is_a_short_list() -> None:
    assert "aebnas-bo train run --shortlist 8" in next_step(RunFolder(Path("run")), None, has_front=True)


def test_the_next_step_without_an_admissible_network_is_the_report() -> None:
    assert "aebnas-bo report run" in next_step(RunFolder(Path("run")), None, has_front=False)
