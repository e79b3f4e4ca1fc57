from dataclasses import replace

import pytest

from aebnas_bo.report.contents import gather
from aebnas_bo.report.first_sentences import opening
from aebnas_bo.report.stored_run import StoredRun, read_run


def text(run: StoredRun) -> str:
    return " ".join(opening(gather(run))).replace("\u00a0", " ")


def test_a_stranger_learns_what_was_searched_and_found(tiny_runs) -> None:
    found = text(read_run(tiny_runs()))
    for part in (
        "digits, 10 classes",
        "early-exit",
        "finished after 14 trials",
        "382 validation images",
        "out of about 10⁸",
    ):
        assert part in found
    assert "The most accurate network found has" in found


def test_plain_networks_are_not_said_to_have_exits(tiny_runs) -> None:
    found = text(read_run(tiny_runs("space.exits=[]")))
    assert "without early exits" in found
    assert "leaves at" not in found


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"process": "process 1", "has_supernet": False, "trials": ()}, "is in training"),
        ({"trials": "half", "process": "process 1"}, "is running: 7 of 14 trials"),
        ({"trials": "half"}, "stopped after 7 of 14 trials"),
        ({"process": "process 1"}, "results are being written"),
    ],
)
def test_what_is_going_on_is_said(tiny_runs, changes: dict[str, object], expected: str) -> None:
    run = read_run(tiny_runs())
    if changes.get("trials") == "half":
        changes = {**changes, "trials": run.trials[:7]}
    assert expected in text(replace(run, **changes))


def test_limits_that_nothing_meets_are_the_answer(tiny_run) -> None:
    assert "No network found meets the limits" in text(read_run(tiny_run("search.min_accuracy=99.9")))
