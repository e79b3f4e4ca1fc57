"""How a run divides its time."""

from functools import partial
from pathlib import Path

import pytest

from aebnas_bo.config.loading import load_config
from aebnas_bo.errors import CorruptStateError
from aebnas_bo.storage.sealed_json import write_sealed
from aebnas_bo.study import time_plan as planning
from aebnas_bo.study.time_plan import TimePlan, planned_config
from aebnas_bo.study.training_speed import Speed
from aebnas_bo.training.settings import TeacherConfig

SPEED = Speed(supernet_s=0.001, network_s=0.0001, network_s_per_mac=1e-10)

NINE = [SPEED.network_seconds(500_000)] * 9  # networks that may be on a short list


def plan_of(minutes: float, **decided: object) -> TimePlan:
    return TimePlan.model_validate({"minutes": minutes, "speed": SPEED, "supernet_epochs": 3, **decided})


def test_the_supernet_of_a_brief_search_costs_little() -> None:
    config = load_config(None)
    brief = planned_config(config, plan_of(10.0, is_brief=True)).supernet
    assert (brief.sandwich, brief.distillation, brief.random_subnets, brief.batch_size) == (False, False, 0, 256)
    assert planned_config(config, plan_of(10.0)).supernet == config.supernet.model_copy(update={"epochs": 3})


@pytest.mark.parametrize("minutes", [1.0, 10.0, 60.0])
def test_phases_fit_into_the_time(minutes: float) -> None:
    images, network_s = 50_000, SPEED.network_seconds(500_000) * 50_000
    spent = 5.0
    spent += planning.supernet_epochs(minutes, spent, images, speed=SPEED) * SPEED.supernet_s * images
    plan = plan_of(minutes)
    spent += planning.search_seconds(plan, spent)
    rungs = planning.rungs(plan, spent_s=spent, num_images=images, networks_s=[network_s / images] * 9)
    spent += sum(count * epochs for count, epochs in rungs) * network_s
    for left in (3, 2, 1):
        epochs, teacher = planning.final_epochs(
            plan, spent_s=spent, num_images=images, networks_s=[SPEED.network_seconds(500_000)] * left, teachers_s={}
        )
        assert teacher is None
        spent += epochs * network_s
    least = spent if minutes == 1.0 else 0.0  # each phase has a least size, which a minute does not allow for
    assert 0.7 * 60 * minutes < spent <= max(60 * minutes, least)


def test_branches_and_their_search_get_larger_shares_with_a_given_backbone() -> None:
    given, other = plan_of(10.0, is_given=True), plan_of(10.0)
    assert planning.search_seconds(given, 60.0) == planning.SEARCH_SHARE_OF_BRANCHES * planning.left(given, 60.0)
    assert planning.search_seconds(given, 60.0) > planning.search_seconds(other, 60.0)
    few = planning.supernet_epochs(10.0, 60.0, 10_000, speed=SPEED)
    assert planning.supernet_epochs(10.0, 60.0, 10_000, speed=SPEED, share=planning.BRANCHES_SHARE) > few


def test_a_search_needs_time_for_final_trainings() -> None:
    networks_s = [1e-4, 1e-4, 1e-4, 1e-4, 6e-4]  # an epoch of all takes a second per thousand images
    minutes = planning.search_minutes(spent_s=14.0, networks_s=networks_s, supernet_s=None, num_images=1000)
    assert minutes == pytest.approx((14 + 4 * 100) / 60 / 0.95)
    many = planning.search_minutes(spent_s=0.0, networks_s=[1e-3], supernet_s=None, num_images=45_000)
    assert many == pytest.approx(4 * 60 * 45 / 60 / 0.95)


def test_a_search_needs_a_supernet_that_ranks() -> None:
    speed, images = SPEED.model_copy(update={"supernet_s": 0.003}), 5000
    minutes = planning.search_minutes(spent_s=14.0, num_images=images, networks_s=[1e-4], supernet_s=0.003)
    epochs = planning.supernet_epochs(minutes, 14.0, images, speed=speed)
    assert epochs * images == pytest.approx(planning.RANKING_IMAGES, abs=images)


def test_a_supernet_of_few_images_gets_the_epochs_that_a_search_needs() -> None:
    images, speed = 300, Speed(supernet_s=1e-4, network_s=1e-4, network_s_per_mac=1e-10)
    assert planning.supernet_epochs(60.0, 0.0, images, speed=speed) * images >= planning.RANKING_IMAGES


def test_a_brief_search_ends_with_its_design_until_its_trials_are_known() -> None:
    config = load_config(None, ["search.design_trials=12", "search.budget=200"])
    budgets = [
        planned_config(config, plan).search.budget
        for plan in (plan_of(10.0), plan_of(10.0, is_brief=True), plan_of(10.0, is_brief=True, search_trials=9))
    ]
    assert budgets == [200, 12, 9]
    few = load_config(None, ["search.design_trials=12", "search.budget=5"])
    assert planned_config(few, plan_of(10.0, is_brief=True)).search.budget == 5


def test_a_brief_search_has_no_short_list_and_little_time() -> None:
    brief, plan = plan_of(20.0, is_brief=True), plan_of(20.0)
    assert planning.rungs(plan, spent_s=60.0, num_images=5000, networks_s=NINE)
    assert planning.rungs(brief, spent_s=60.0, num_images=5000, networks_s=NINE) == ()
    assert planning.search_seconds(brief, 60.0) == pytest.approx(0.3 * planning.search_seconds(plan, 60.0))
    config = load_config(None)
    assert planned_config(config, plan_of(10.0, rungs=())).shortlist == config.shortlist


def test_a_short_list_of_too_few_epochs_is_left_out() -> None:
    whole = planning.rungs(plan_of(20.0), spent_s=0.0, num_images=5000, networks_s=NINE)
    assert whole[-1][1] >= planning.ENOUGH_RUNG_EPOCHS
    assert planning.rungs(plan_of(10.0), spent_s=0.0, num_images=5000, networks_s=NINE) == ()


def final_times(minutes: float, seconds: list[float], num_images: int, spent: float) -> list[float]:
    """Return the seconds of each final training, the first network's first."""
    times: list[float] = []
    for position, one in enumerate(seconds):
        epochs, _ = planning.final_epochs(
            plan_of(minutes),
            spent_s=spent + sum(times),
            num_images=num_images,
            networks_s=seconds[position:],
            teachers_s={},
        )
        times.append(epochs * num_images * one)
    return times


def test_slow_networks_get_more_time_and_fewer_epochs() -> None:
    times = final_times(10.0, [4e-4, 2e-4, 1e-4], 5000, spent=100.0)
    assert sum(times) == pytest.approx(0.95 * 600 - 100, abs=2.0)
    for share, time in zip((2.0, 2.0**0.5, 1.0), times, strict=True):
        assert time == pytest.approx(470 * share / (3.0 + 2.0**0.5), abs=2.0)  # an epoch of the slowest takes 2 s


def test_time_that_a_fast_network_cannot_use_goes_to_the_slower_ones() -> None:
    slow, fast, fastest = final_times(30.0, [4e-4, 1e-4, 1e-5], 2000, spent=110.0)
    most = planning.MOST_FINAL_EPOCHS
    assert (fast, fastest) == (pytest.approx(most * 0.2), pytest.approx(most * 0.02))
    assert slow == pytest.approx(most * 0.8)
    slow, fast, fastest = final_times(20.0, [4e-3, 1e-4, 1e-5], 2000, spent=140.0)
    assert (fast, fastest) == (pytest.approx(most * 0.2), pytest.approx(most * 0.02))
    assert slow == pytest.approx(1000 - fast - fastest, abs=8.0)


def test_time_that_one_final_training_saves_goes_to_the_next() -> None:
    plan_next = partial(planning.final_epochs, plan_of(10.0), num_images=10_000, networks_s=[1e-4], teachers_s={})
    assert plan_next(spent_s=300.0)[0] == 270
    assert plan_next(spent_s=200.0)[0] == 370


def test_a_teacher_is_as_large_as_its_time_allows() -> None:
    plan_next = partial(planning.final_epochs, plan_of(10.0), spent_s=270.0, num_images=10_000)
    plan_next = partial(plan_next, networks_s=[1.6e-4, 8e-5])
    # 100 s for each of the three; the larger teacher would get 31 epochs, the smaller one gets the most that help
    assert plan_next(teachers_s={2.0: 3.2e-4, 1.5: 1.6e-4}) == (78, (1.5, 50))
    # the networks share the other 260 s, but for 2 s in which the teacher predicts
    assert plan_next(teachers_s={2.0: 8e-5}) == (94, (2.0, 50))
    # as many epochs as its share of the time allows
    assert plan_next(teachers_s={2.0: 2.4e-4, 1.5: 1.6e-4}) == (71, (2.0, 41))
    assert plan_next(teachers_s={2.0: 3.2e-4}) == (109, None)
    # no more epochs than the network keeps: 80 s would leave 20 epochs of 8 s
    assert plan_next(networks_s=[8e-4, 8e-5], teachers_s={1.5: 1.6e-4}) == (28, None)


def test_a_teacher_of_few_images_needs_more_epochs() -> None:
    plan_next = partial(planning.final_epochs, plan_of(10.0), spent_s=270.0, num_images=2000, networks_s=[1e-4, 1e-4])
    assert plan_next(teachers_s={2.0: 3e-4}) == (400, None)  # 166 epochs of 0.6 s are too few: 200 are needed
    assert plan_next(teachers_s={2.0: 2e-4})[1] == (2.0, 250)


def test_more_time_does_not_take_the_teacher_away() -> None:
    plan_next = partial(planning.final_epochs, spent_s=60.0, num_images=1200, networks_s=[1e-4, 1e-4])
    for minutes in (30.0, 120.0):  # more epochs than its networks may have would be more than they keep
        assert plan_next(plan_of(minutes), teachers_s={2.0: 2e-4})[1] == (2.0, planning.MOST_FINAL_EPOCHS)


def test_a_short_time_has_one_rung_and_a_long_time_two() -> None:
    short, long = (
        planning.rungs(plan_of(minutes), spent_s=0.0, num_images=5000, networks_s=NINE) for minutes in (20.0, 60.0)
    )
    assert len(short) == 1
    assert short[0][1] >= planning.ENOUGH_RUNG_EPOCHS
    assert len(long) == 2
    assert long[0][1] >= planning.ENOUGH_RUNG_EPOCHS
    assert long[1][1] == round(2.5 * long[0][1])


def test_networks_of_a_rung_are_trained_for_equal_times() -> None:
    timed_s = {"small": 1e-4, "middle": 2e-4, "large": 3e-4}
    plan = plan_of(30.0, timed_s=timed_s)
    epochs = {key: planning.rung_epochs(plan, key, 12) for key in timed_s}
    assert epochs == {"small": 24, "middle": 12, "large": 8}
    assert planning.rung_epochs(plan, "not timed", 12) == 12
    later = plan.model_copy(update={"further_s": {"later": 4e-4}})  # does not change the average
    assert [planning.rung_epochs(later, key, 12) for key in ("later", "small")] == [6, 24]
    assert planning.rung_epochs(plan, "large", 2) == planning.LEAST_RUNG_EPOCHS


def test_decisions_replace_the_numbers_of_the_configuration() -> None:
    config = load_config(None)
    plan = plan_of(5.0, search_trials=40, rungs=((6, 4),), final_epochs={"large": 70, "small": 90})
    planned = planned_config(config, plan)
    assert (planned.supernet.epochs, planned.search.budget) == (3, 40)
    assert (planned.shortlist.rungs, planned.final_training.epochs) == (((6, 4),), 70)
    assert planned.final_training.teacher is None
    taught = planned_config(config, plan_of(5.0, final_epochs={"large": 70}, teacher=(1.5, 31)))
    assert taught.final_training.teacher == TeacherConfig(macs=1.5, epochs=31)
    undecided = planned_config(config, plan_of(5.0))
    assert (undecided.search, undecided.final_training) == (config.search, config.final_training)


def test_a_plan_is_read_as_it_was_written_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    path, plan = tmp_path / "time_plan.json", plan_of(5.0, search_trials=40)
    plan.write(path)
    assert TimePlan.read(path) == plan
    whole = path.read_text()
    for damaged in (whole[:40], whole.replace("40", "41"), "{}"):
        path.write_text(damaged)
        with pytest.raises(CorruptStateError, match=r"time_plan.json .* start another run folder"):
            TimePlan.read(path)
    write_sealed(path, {"minutes": 5.0})
    with pytest.raises(CorruptStateError, match=r"time_plan.json is not a time plan .* start another run folder"):
        TimePlan.read(path)
    with pytest.raises(CorruptStateError, match="cannot be read"):
        TimePlan.read(tmp_path / "none.json")
