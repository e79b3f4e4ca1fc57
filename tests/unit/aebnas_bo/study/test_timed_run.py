import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console

from aebnas_bo.config.loading import load_config, parse_config
from aebnas_bo.deploy.network_file import load_network
from aebnas_bo.deploy.shortlist_file import read_shortlist
from aebnas_bo.deploy.training_folders import trained_networks
from aebnas_bo.early_exit.threshold_tuning import TuningGoal
from aebnas_bo.errors import CorruptStateError, RunFolderInUseError, StopRequested
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.preparation.progress import RunProgress
from aebnas_bo.search.trial import Trial
from aebnas_bo.search.trial_store import TrialStore
from aebnas_bo.shortlist import contenders, first_rung
from aebnas_bo.shortlist.budgets import first_points_of
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.storage.run_lock import RunLock
from aebnas_bo.study import first_plan, timed_run
from aebnas_bo.study import time_plan as planning
from aebnas_bo.study.running import run_study
from aebnas_bo.study.time_plan import TimePlan
from aebnas_bo.study.timed_run import planned_settings
from aebnas_bo.study.training_speed import Speed
from aebnas_bo.training.settings import TeacherConfig

from .conftest import EPOCH_S, SETTINGS, TRIAL_S, Runner, Steps, Whole

MakeRunner = Callable[[], Runner]


def plan(folder: RunFolder) -> TimePlan:
    return TimePlan.read(folder.time_plan)


def decisions(folder: RunFolder) -> dict[str, object]:
    return plan(folder).model_dump(exclude={"spent_s"})


def trials(folder: RunFolder) -> list[Trial]:
    with TrialStore.open_read_only(folder.study) as store:
        return store.trials()


def outcomes(folder: RunFolder) -> list[tuple[object, ...]]:
    return [(one.number, one.status, one.parameters, one.points) for one in trials(folder)]


def weights(folder: RunFolder) -> dict[str, dict[str, list[float]]]:
    found = {one.folder.name: load_network(one.folder / "network.safetensors")[0] for one in trained_networks(folder)}
    return {
        name: {key: value.flatten().tolist() for key, value in net.state_dict().items()} for name, net in found.items()
    }


def test_a_run_ends_with_trained_networks_and_stores_what_it_decided(whole: Whole) -> None:
    stored, networks = plan(whole.folder), len({one.key for one in trials(whole.folder)})
    assert stored.search_trials is not None
    assert stored.rungs is not None
    assert len(whole.steps.of("supernet")) == stored.supernet_epochs
    assert len(whole.steps.of("trials")) - 1 == stored.search_trials == len(trials(whole.folder))
    assert len(whole.steps.of("short training")) == sum(min(most, networks) * epochs for most, epochs in stored.rungs)
    assert stored.final_epochs == {one.key: one.origin.epochs for one in whole.result.networks[::-1]}
    assert set(stored.measured_s) == {point.key for point in read_shortlist(whole.folder.shortlist)}
    assert 1 <= len(whole.result.networks) <= 2  # one network may win both budgets
    assert len({point.key for point in read_shortlist(whole.folder.shortlist)}) == min(networks, stored.rungs[0][0])
    assert whole.result.seconds == stored.spent_s
    config = load_config(whole.folder.config)
    assert config.supernet.epochs == stored.supernet_epochs
    assert config.search.budget == stored.search_trials
    assert config.shortlist.rungs == stored.rungs
    assert config.final_training.epochs == next(iter(stored.final_epochs.values()))
    with TrialStore.open_read_only(whole.folder.study) as store:
        assert store.study.config == whole.folder.config.read_text(encoding="utf-8")
    assert stored.teacher is not None
    assert config.final_training.teacher == TeacherConfig(macs=stored.teacher[0], epochs=stored.teacher[1])
    [taught] = {step.total for step in whole.steps.of("epochs of the plain network")}
    assert taught == stored.teacher[1]
    for text in (
        "a teacher of",
        "teacher: a plain network of",
        "training images of 10 classes at 8x8",
        "search ended after",
        "short list:",
        "final training of",
    ):
        assert text in whole.runner.text


def test_the_search_ends_with_the_trial_in_which_its_time_does(whole: Whole) -> None:
    stored = plan(whole.folder)
    assert stored.search_trials is not None
    assert stored.search_until_s is not None
    began = EPOCH_S * stored.supernet_epochs
    assert began + TRIAL_S * (stored.search_trials - 1) < stored.search_until_s
    assert began + TRIAL_S * stored.search_trials >= stored.search_until_s


def test_stopped_in_any_phase_and_resumed_it_ends_the_same(whole: Whole, make_runner: MakeRunner) -> None:
    starts = {start: [step for step in whole.steps.of(start) if step.done == 1] for start in ("short", "epochs of")}
    stops = [
        whole.steps.of("supernet")[0],
        *whole.steps.of("trials")[2:4],
        starts["short"][2],
        starts["short"][-1],
        starts["epochs of"][0],  # the teacher's
        starts["epochs of"][-1],
    ]
    stopped = make_runner()
    for stop in stops:
        with pytest.raises(StopRequested):
            stopped(Steps(stop))
    result = stopped()
    assert decisions(stopped.folder) == decisions(whole.folder)
    assert outcomes(stopped.folder) == outcomes(whole.folder)
    assert result.rung_results == whole.result.rung_results
    assert weights(stopped.folder) == weights(whole.folder)


def test_the_surrogate_chooses_the_same_networks_after_a_stop(make_runner: MakeRunner, monkeypatch) -> None:
    monkeypatch.setattr(planning, "SHORTLISTS", (((4, 1.0),),))
    monkeypatch.setattr(first_rung, "FEWEST_NETWORKS", 5)
    monkeypatch.setattr(contenders, "FEWEST_FIRST", 2)
    monkeypatch.setattr(contenders, "BEGINNING_PLAIN_SHARE", 0.25)
    whole, stopped, steps = make_runner(), make_runner(), Steps()
    result = whole(steps)
    chosen = [one.key for one in result.rung_results if one.origin == "surrogate"]
    assert chosen
    assert set(plan(whole.folder).further_s) <= set(chosen)
    assert set(plan(whole.folder).timed_s) | set(plan(whole.folder).further_s) >= set(chosen)
    assert "learned correlation" in whole.text
    with pytest.raises(StopRequested):
        stopped(Steps(steps.of("short training")[-1]))
    assert stopped().rung_results == result.rung_results
    assert plan(stopped.folder).further_s == plan(whole.folder).further_s


def test_a_finished_run_repeats_nothing(whole: Whole) -> None:
    before, steps = plan(whole.folder), Steps()
    again = whole.runner(steps)
    assert {step.name for step in steps.all} <= {"trials"}
    assert plan(whole.folder) == before
    assert again.rung_results == whole.result.rung_results
    assert [one.key for one in again.networks] == [one.key for one in whole.result.networks]


def test_time_before_a_stop_is_counted(whole: Whole, make_runner: MakeRunner) -> None:
    runner, steps = make_runner(), Steps(whole.steps.of("supernet")[1])
    with pytest.raises(StopRequested):
        runner(steps)
    assert plan(runner.folder).spent_s == EPOCH_S * (len(steps.all) - 1) > 0.0


def test_another_process_s_plan_is_left_alone(whole: Whole) -> None:
    before = whole.folder.time_plan.read_bytes()
    whole.runner.clock.now += 1.0
    with RunLock(whole.folder.path), pytest.raises(RunFolderInUseError):
        whole.runner()
    assert whole.folder.time_plan.read_bytes() == before


def test_options_that_a_decision_overrules_are_named(whole: Whole) -> None:
    options = [*SETTINGS, "supernet.epochs=77", "search.mc_samples=16"]
    given = load_config(None, options)
    config, lines = planned_settings(given, whole.folder, options)
    epochs = plan(whole.folder).supernet_epochs
    assert lines == [f"supernet.epochs: the time budget decided {epochs}; supernet.epochs=77 has no effect"]
    assert (config.supernet.epochs, config.search.mc_samples) == (epochs, 16)


def test_without_a_time_plan_settings_stay(tmp_path: Path) -> None:
    config = load_config(None, ["supernet.epochs=77"])
    assert planned_settings(config, RunFolder(tmp_path), ["supernet.epochs=77"]) == (config, [])


def test_a_damaged_time_plan_is_named(tmp_path: Path) -> None:
    (tmp_path / "time_plan.json").write_text("{}")
    with pytest.raises(CorruptStateError, match=r"time_plan\.json does not match its own hash"):
        planned_settings(load_config(None), RunFolder(tmp_path), [])


def test_final_epochs_follow_from_the_images_of_final_trainings(whole: Whole, tmp_path: Path, monkeypatch) -> None:
    folder = RunFolder(Path(shutil.copytree(whole.folder.path, tmp_path / "copy")))
    plan(folder).model_copy(update={"final_epochs": {}}).write(folder.time_plan)
    asked: list[int] = []

    def decide(_plan: TimePlan, *, num_images: int, **_: object) -> None:
        asked.append(num_images)
        raise StopRequested(2)

    monkeypatch.setattr(timed_run, "final_epochs", decide)
    with pytest.raises(StopRequested):
        Runner(folder, whole.runner.clock)()
    assert asked == [whole.result.networks[0].origin.train_images]


def test_without_time_for_a_short_list_the_first_contenders_are_trained(make_runner: MakeRunner, monkeypatch) -> None:
    monkeypatch.setattr(planning, "ENOUGH_EPOCHS", (60, 100))
    # A stopped epoch takes no time on this clock; with this budget, that gives no network an epoch more.
    whole, stopped, steps, longer = make_runner(), make_runner(), Steps(), "time_budget=1.33"
    result = whole(steps, longer)
    assert plan(whole.folder).is_brief
    assert result.is_brief
    assert plan(whole.folder).rungs == ()
    assert not steps.of("short training")
    assert result.rung_results == []
    assert "a search among other networks needs about" in whole.text
    assert "no short list" in whole.text
    with pytest.raises(StopRequested):
        stopped(Steps(steps.of("epochs of")[1]), longer)
    stopped(None, longer)
    assert decisions(stopped.folder) == decisions(whole.folder)
    assert weights(stopped.folder) == weights(whole.folder)


@pytest.mark.parametrize("is_brief", [False, True])
def test_a_brief_search_without_time_evaluates_all_plain_networks(
    is_brief: bool, make_runner: MakeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "RANKING_IMAGES", 10**9 if is_brief else 300)
    monkeypatch.setattr(timed_run, "search_seconds", lambda *_: 0.0)
    runner = make_runner()
    runner(None, "search.design_trials=8")
    config = parse_config(runner.folder.config.read_text(), "config.yaml")
    assert config.search.most_first_points == 6
    first = first_points_of(Problem.load(config))
    assert len(first) == 6
    found = [dict(trial.parameters) for trial in trials(runner.folder)]
    assert found == (first if is_brief else first[:1])


def test_the_plan_of_a_run_that_never_began_is_no_other_run_s(whole: Whole, make_runner: MakeRunner) -> None:
    runner = make_runner()
    with pytest.raises(StopRequested):
        runner(Steps(whole.steps.of("supernet")[0]))
    for file in (runner.folder.study, runner.folder.config):
        file.unlink()
    settings = [*SETTINGS[1:], "search.budget=2", "supernet.epochs=1"]
    run_study(Problem.load(load_config(None, settings)), runner.folder, RunProgress(Console(stderr=True), quiet=True))
    assert not runner.folder.time_plan.exists()


def test_the_speed_is_measured_with_the_run_s_threads(make_runner: MakeRunner, monkeypatch) -> None:
    threads: list[int] = []

    def measure(*_: object) -> Speed:
        threads.append(torch.get_num_threads())
        raise StopRequested(2)

    monkeypatch.setattr(first_plan, "measure_speed", measure)
    torch.set_num_threads(2)
    with pytest.raises(StopRequested):
        make_runner()()
    assert threads == [1]


@pytest.mark.parametrize(
    ("macs", "larger", "teacher", "may_choose", "is_taught"),
    [(0.1, 0.5, 2.0, False, True), (0.3, 0.5, 2.0, False, False), (0.1, 1.5, 2.0, False, False),
     (0.1, 0.1, 2.0, False, False), (0.1, None, 2.0, False, False), (0.3, 0.5, None, True, True),
     (0.1, 1.5, None, True, False), (0.3, 0.5, None, False, False)],
)  # fmt: skip
def test_a_network_without_another_teacher_is_taught_by_the_one_trained_before(
    macs: float,
    larger: float | None,
    teacher: float | None,
    may_choose: bool,
    is_taught: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def candidate(millions: float) -> SimpleNamespace:
        return SimpleNamespace(costs=SimpleNamespace(cumulative=[1e6 * millions]), recipe=None)

    monkeypatch.setattr(timed_run, "training_of", lambda one, seed: (one, seed))
    monkeypatch.setattr(timed_run, "training_folder", lambda _, training: Path(f"trained/large-seed{training[1]}"))
    monkeypatch.setattr(timed_run, "_with_recipe", lambda _, teacher: teacher)
    plan = SimpleNamespace(teacher=None if teacher is None else (teacher, 40))
    run = SimpleNamespace(_plan=plan, _folder=None, _config=SimpleNamespace(seed=3), _may_choose_teacher=may_choose)
    small, large = candidate(macs), None if larger is None else candidate(larger)
    found = timed_run._TimedRun._with_trained_teacher(run, small, large)  # type: ignore[arg-type]
    assert found == (TeacherConfig(source="trained", network="large-seed3") if is_taught else small)


@pytest.mark.parametrize(
    ("is_brief", "is_given", "tau", "chosen"),
    [(False, False, 0.6, "estimate"), (False, False, None, "estimate"), (False, False, 0.4, "plain"),
     (True, False, 0.6, "plain"), (False, True, 0.6, "plain")],
)  # fmt: skip
def test_without_a_short_list_estimates_choose_only_if_they_rank_plain_networks(
    is_brief: bool, is_given: bool, tau: float | None, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = SimpleNamespace(choose=lambda count: ["plain"][:count], without_short_training=lambda goal: "estimate")
    monkeypatch.setattr(timed_run, "read_pool", lambda context, goals: pool)
    messages: list[str] = []
    run = SimpleNamespace(
        _plan=SimpleNamespace(rungs=(), is_brief=is_brief, is_given=is_given),
        _progress=SimpleNamespace(message=messages.append),
    )
    goals = [TuningGoal("max_macs", 1e6), TuningGoal("max_macs", 2e6)]
    assert timed_run._TimedRun._winners(run, None, goals, tau) == ([chosen, chosen], [])  # type: ignore[arg-type]
    assert len(messages) == (tau == 0.4)
    assert all("Kendall tau 0.40" in message for message in messages)


def test_a_short_list_that_cannot_fit_costs_no_time(make_runner: MakeRunner, monkeypatch) -> None:
    monkeypatch.setattr(planning, "ENOUGH_RUNG_EPOCHS", 10_000)
    runner, steps = make_runner(), Steps()
    result = runner(steps)
    stored = plan(runner.folder)
    assert (stored.is_brief, stored.rungs, stored.timed_s, result.rung_results) == (False, (), {}, [])
    assert not steps.of("short training")
    assert result.networks
