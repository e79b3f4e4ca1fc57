"""Choosing by validation images, interpolating in log MACs, and differences paired by seed."""

import math

import pytest

from benchmarks.worth_comparison import accuracy_at, chosen, compare, curve_of, curves
from benchmarks.worth_jobs import Point, Result


def point(macs: float, accuracy: float, validation: tuple[float, float] | None = None, network: str = "a") -> Point:
    validation_macs, validation_accuracy = validation or (None, None)
    return Point(network, None, validation_macs, validation_accuracy, macs, accuracy)


def result(part: str, seed: int, points: list[Point], wall: float = 60.0) -> Result:
    return Result("d", 1.0, part, seed, "key", wall, wall, tuple(points))


def plain(seed: int, accuracies: tuple[float, float]) -> list[Result]:
    """Networks of 0.1 and 10 M, of widths 4 and 8."""
    networks = zip((0.1, 10.0), accuracies, ("w4", "w8"), strict=True)
    return [result("plain", seed, [point(macs, accuracy, network=name)]) for macs, accuracy, name in networks]


def test_chosen_is_the_most_accurate_on_validation_images_within_the_budget() -> None:
    points = [
        point(0.4, 99.0, (0.5, 70.0), "a"), point(0.9, 50.0, (0.9, 80.0), "b"), point(0.7, 60.0, (0.7, 80.0), "c"),
        point(0.1, 99.0, (1.1, 99.0), "d"),
    ]  # fmt: skip
    assert chosen(points, 1.0) == points[2]  # as accurate as the second, and cheaper
    assert chosen(points, 0.5) == points[0]
    assert chosen(points, 0.4) is None


def test_every_network_takes_part_with_its_most_expensive_point_within_the_budget() -> None:
    points = [point(0.5, 60.0, (0.5, 81.0), "a"), point(0.8, 70.0, (0.8, 80.0), "a"), point(0.6, 1.0, (0.6, 79.0), "b")]
    assert chosen(points, 1.0) == points[1]
    assert chosen(points, 0.7) == points[0]


def test_curve_of_networks_with_thresholds_is_what_is_chosen_for_any_budget() -> None:
    points = [
        point(0.3, 60.0, (0.3, 60.0)), point(0.2, 90.0, (0.2, 61.0)), point(0.9, 10.0, (0.8, 70.0)),
        point(0.5, 50.0, (0.5, 59.0), "b"),
    ]  # fmt: skip
    assert curve_of(points) == [points[1], points[0], points[2]]  # the other network is never the most accurate


def test_curve_of_plain_networks_is_all_of_them() -> None:
    points = [point(2.0, 50.0), point(1.0, 60.0)]
    assert curve_of(points) == points[::-1]


def test_accuracy_at_interpolates_in_log_macs_and_marks_what_lies_outside() -> None:
    curve = [point(0.1, 50.0), point(1.0, 70.0), point(10.0, 80.0)]
    assert accuracy_at(curve, 10**-0.5) == (pytest.approx(60.0), False)
    assert accuracy_at(curve, 1.0) == (pytest.approx(70.0), False)
    assert accuracy_at(curve, 0.05) == (50.0, True)
    assert accuracy_at(curve, 20.0) == (80.0, True)


def test_compare_pairs_by_seed() -> None:
    results = [
        *plain(0, (60.0, 80.0)), *plain(1, (62.0, 82.0)), *plain(2, (0.0, 0.0)),
        result("ours", 0, [point(1.0, 75.0, (1.0, 70.0))]), result("ours", 1, [point(0.1, 66.0, (0.5, 70.0))]),
    ]  # fmt: skip
    [line] = compare(results, [1.0], [4, 8])
    one = line.against["plain"]
    # ours 75 against 70 at 1 M, 66 against 62 at 0.1 M
    assert (line.accuracy, one.accuracy, one.num_seeds) == (70.5, 66.0, 2)
    assert (one.difference, one.difference_sem) == (4.5, pytest.approx(0.5))
    assert one.error_ratio == pytest.approx(29.5 / 34.0)
    assert line.macs == pytest.approx(0.55)
    assert "exit" not in line.against


def test_compare_averages_over_budgets_for_seeds_with_all_of_them() -> None:
    ours = [point(0.1, 70.0, (0.1, 50.0)), point(10.0, 90.0, (9.0, 60.0))]
    results = [*plain(0, (60.0, 84.0)), *plain(1, (60.0, 80.0)), result("ours", 0, ours), result("ours", 1, ours[1:])]
    low, high, whole = compare(results, [0.5, 9.0], [4, 8])
    assert (low.num_seeds, low.num_missing) == (1, 1)
    assert high.against["plain"].difference == 8.0  # 6 and 10
    assert (whole.budget, whole.num_seeds, whole.num_missing) == (None, 1, 1)
    assert whole.against["plain"].difference == 8.0  # 10 and 6
    assert math.isnan(whole.against["plain"].difference_sem)


def test_compare_refuses_the_figures_of_a_command_that_took_too_long() -> None:
    ours = [point(1.0, 75.0, (1.0, 70.0))]
    results = [*plain(0, (60.0, 80.0)), result("ours", 0, ours, wall=66.1), result("ours", 1, ours, wall=65.9)]
    [line] = compare(results, [1.0], [4, 8])
    assert (line.num_seeds, line.num_refused) == (1, 1)
    assert line.against == {}  # seed 1 has no plain networks


def test_curves_leave_out_seeds_of_which_a_width_is_missing() -> None:
    results = [*plain(0, (60.0, 80.0)), *plain(1, (60.0, 80.0))[:1]]
    assert list(curves(results, "plain", [4, 8])) == [0]
