import math
from dataclasses import replace

import pytest
import torch

from aebnas_bo.early_exit.exit_rule import ExitTable
from aebnas_bo.early_exit.threshold_tuning import TuningGoal
from aebnas_bo.shortlist.rungs import climb

from .conftest import SKELETON, contender, macs_of, network

LARGE = macs_of(network(16))[-1]
SMALL = macs_of(network(8))[-1]
ANY, CHEAP = TuningGoal("max_macs", 1e9), TuningGoal("max_macs", float(SMALL))
ANSWERS = {"a": (1, 1, 1, 0), "b": (1, 0, 0, 1), "c": (0, 0, 0, 1), "d": (0, 0, 0, 0)}


def test_rungs_halve_and_differences_are_paired(train_of) -> None:
    noted: list[tuple[str, int]] = []
    four = [contender(key, 8, ANY) for key in "dcba"]
    winners, rung_results = climb(four, [ANY], [(4, 2), (2, 5)], skeleton=SKELETON, train=train_of(ANSWERS, noted))
    assert [one.key for one in winners] == ["a"]
    assert noted == [("d", 2), ("c", 2), ("b", 2), ("a", 2), ("a", 5), ("b", 5)]
    first = {one.key: one for one in rung_results if one.rung == 0}
    assert [first[key].accuracy for key in "abcd"] == [75.0, 50.0, 25.0, 0.0]
    assert [one.key for one in rung_results] == ["a", "b", "c", "d", "a", "b"]  # best first within a rung
    assert [one.is_kept for one in rung_results] == [True, True, False, False, True, False]
    # a less b, image by image: 0, 1, 1, -1; mean 1/4, standard deviation (sum of squares 11/4) / 3
    assert first["b"].behind == pytest.approx(25.0)
    assert first["b"].behind_sem == pytest.approx(100 * math.sqrt(11 / 4 / 3) / 2)
    # a less d: 1, 1, 1, 0
    assert first["d"].behind == pytest.approx(75.0)
    assert first["d"].behind_sem == pytest.approx(100 * math.sqrt(3 / 4 / 3) / 2)
    assert (first["a"].behind, first["a"].behind_sem) == (0.0, 0.0)
    assert {one.average_macs for one in rung_results} == {SMALL / 1e6}


def test_networks_of_a_rung_may_be_trained_for_different_epochs(train_of) -> None:
    noted: list[tuple[str, int]] = []
    pair = [contender(key, 8, ANY) for key in "ab"]
    _, rung_results = climb(
        pair,
        [ANY],
        [(2, 2), (1, 5)],
        skeleton=SKELETON,
        train=train_of(ANSWERS, noted),
        epochs_of=lambda one, epochs: epochs * (3 if one.key == "b" else 1),
    )
    assert noted == [("a", 2), ("b", 6), ("a", 5)]
    assert [(one.key, one.epochs) for one in rung_results] == [("a", 2), ("b", 6), ("a", 5)]


@pytest.mark.parametrize(("num_images", "leader"), [(4, "b"), (400, "a")])
def test_a_plain_network_leads_unless_another_is_clearly_better(train_of, num_images: int, leader: str) -> None:
    # a is right for 3 of 4 images, b for 2; with 4 images the difference is half a standard error, with 400 five
    answers = {key: right * (num_images // 4) for key, right in ANSWERS.items()}
    pair = [contender("a", 8, ANY), replace(contender("b", 8, ANY), is_plain=True)]
    winners, rung_results = climb(pair, [ANY], [(2, 3)], skeleton=SKELETON, train=train_of(answers, []))
    assert [one.key for one in winners] == [leader]
    assert [one.key for one in rung_results if one.is_kept] == [leader]
    behind = {one.key: one.behind for one in rung_results}
    assert behind == {leader: 0.0, "ab".replace(leader, ""): pytest.approx(-25.0 if leader == "b" else 25.0)}


@pytest.mark.parametrize(("num_images", "leader"), [(40, "b"), (4000, "a")])
def test_the_larger_of_two_plain_networks_leads_unless_the_other_is_clearly_better(
    train_of, num_images: int, leader: str
) -> None:
    # a is right for 30 of 40 images, b for 29, both right or wrong on 29 + 10
    answers = {"a": (1,) * 30 + (0,) * 10, "b": (1,) * 29 + (0,) * 11}
    answers = {key: right * (num_images // 40) for key, right in answers.items()}
    pair = [replace(contender("a", 8, ANY), is_plain=True), replace(contender("b", 16, ANY), is_plain=True)]
    winners, _ = climb(pair, [ANY], [(2, 3)], skeleton=SKELETON, train=train_of(answers, []))
    assert [one.key for one in winners] == [leader]
    # b relies on exits for a budget that its backbone exceeds by far
    tight = TuningGoal("max_macs", SMALL / 0.99)
    winners, _ = climb([replace(one, observations={tight: one.observations[ANY]}) for one in pair], [tight], [(2, 3)],
                       skeleton=SKELETON, train=train_of(answers, []))  # fmt: skip
    assert [one.key for one in winners] == ["a"]


def test_each_goal_has_a_winner_and_its_own_estimates(train_of) -> None:
    two = [contender("a", 16, ANY, CHEAP), contender("b", 8, ANY, CHEAP)]
    winners, rung_results = climb(two, [ANY, CHEAP], [(2, 3)], skeleton=SKELETON, train=train_of(ANSWERS, []))
    assert [one.key for one in winners] == ["a", "b"]
    found = {(one.goal, one.key): one for one in rung_results}
    assert [found[goal, "a"].is_kept for goal in (ANY, CHEAP)] == [True, False]
    assert [found[goal, "a"].is_met for goal in (ANY, CHEAP)] == [True, False]
    assert [found[goal, "a"].estimate for goal in (ANY, CHEAP)] == [50.0, 51.0]
    assert found[CHEAP, "b"].is_met  # its average MACs are the budget
    assert found[CHEAP, "a"].average_macs == LARGE / 1e6


def test_goals_take_turns_in_what_the_next_rung_trains(train_of) -> None:
    noted: list[tuple[str, int]] = []
    goals = [ANY, CHEAP]
    three = [contender("a", 16, *goals), contender("b", 16, *goals), contender("c", 8, *goals)]
    climb(three, goals, [(3, 1), (2, 2)], skeleton=SKELETON, train=train_of(ANSWERS, noted))
    assert noted[3:] == [("a", 2), ("c", 2)]  # not b, which is second for the first goal


def test_thresholds_are_tuned_and_decide_which_answers_count() -> None:
    """Two images leave at the exit, right; by its end the network is wrong on one of them."""
    goal = TuningGoal("max_macs", 1e9)
    [one] = [contender("a", 8, goal, has_exit=True)]
    confidence = torch.tensor([[0.9, 0.8, 0.2, 0.1], [1.0, 1.0, 1.0, 1.0]])
    is_correct = torch.tensor([[1, 1, 0, 0], [0, 1, 1, 1]]).bool()
    early, late = macs_of(one.architecture)
    _, [rung_result] = climb(
        [one], [goal], [(1, 1)], skeleton=SKELETON,
        train=lambda *_: ExitTable(confidence, is_correct, (early, late)),
    )  # fmt: skip
    assert rung_result.accuracy == 100.0
    assert rung_result.average_macs == pytest.approx((2 * early + 2 * late) / 4 / 1e6)


def test_one_image_has_no_standard_error(train_of) -> None:
    two = [contender("a", 8, ANY), contender("b", 8, ANY)]
    _, rung_results = climb(two, [ANY], [(2, 1)], skeleton=SKELETON, train=train_of({"a": (1,), "b": (0,)}, []))
    assert [one.behind_sem for one in rung_results] == [0.0, 0.0]
