import json
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from aebnas_bo.analysis.selection import parse_selection
from aebnas_bo.deploy.description import NetworkFileError
from aebnas_bo.deploy.training_folders import trained_networks
from aebnas_bo.errors import CorruptStateError, UsageError
from aebnas_bo.report import contents
from aebnas_bo.report.contents import gather
from aebnas_bo.report.stored_run import read_run
from aebnas_bo.search.trial import Trial


def test_everything_is_gathered_from_the_folder_alone(tiny_runs) -> None:
    found = gather(read_run(tiny_runs()))
    assert found.data is not None
    assert (found.data.dataset, len(found.data.classes), found.data.images["validation"]) == (
        "digits",
        10,
        382,
    )
    networks = found.networks
    assert networks is not None
    assert (networks.space.skeleton.in_channels, networks.space.skeleton.num_classes) == (1, 10)
    titles = " and ".join(network.title for network in networks.chosen)
    assert "knee of the front" in titles
    assert "most accurate" in titles
    assert all(network.has_table for network in networks.chosen)
    best = max(networks.front, key=lambda trial: trial.metrics["accuracy"])
    shown = next(network for network in networks.chosen if "most accurate" in network.title)
    assert shown.observed == best
    assert networks.effects is not None
    assert networks.effects.num_networks == len({trial.key for trial in networks.observed})
    assert [report.metric for report in networks.surrogates] == ["accuracy", "average_macs"]
    assert found.trained == ()


def test_one_network_chosen_twice_is_shown_once(tiny_runs) -> None:
    run = read_run(tiny_runs())
    selections = [parse_selection(text) for text in ("best-accuracy", "accuracy>=0", "macs<=1", "best-accuracy")]
    contents = gather(run, selections)
    assert contents.networks is not None
    places = [network.observed.place for network in contents.networks.chosen]
    assert len(places) == len(set(places))
    assert "cheapest with at least 0 %" in " ".join(network.title for network in contents.networks.chosen)
    with pytest.raises(UsageError, match="no network found meets it"):
        gather(run, [parse_selection("macs<=0.000001")])


def test_the_limit_of_the_search_chooses_too(tiny_run) -> None:
    contents = gather(read_run(tiny_run("search.max_average_macs=0.2")))
    assert contents.networks is not None
    assert "most accurate within 0.2 M average MACs" in " ".join(n.title for n in contents.networks.chosen)
    assert contents.networks.limits


def test_where_nothing_meets_the_limits_the_nearest_is_shown(tiny_run) -> None:
    contents = gather(read_run(tiny_run("search.min_accuracy=99.9")))
    assert contents.networks is not None
    assert (contents.networks.front, [n.title for n in contents.networks.chosen]) == ((), ["nearest to the limits"])


def test_missing_tables_leave_the_networks(tiny_run) -> None:
    folder = tiny_run()
    for path in folder.estimates.iterdir():
        path.unlink()
    contents = gather(read_run(folder))
    assert contents.networks is not None
    assert not any(network.has_table or network.sweeps for network in contents.networks.chosen)


def test_a_study_that_has_just_begun_has_no_networks(tiny_run) -> None:
    folder = tiny_run()
    folder.summary.unlink()
    run = read_run(folder)
    contents = gather(type(run)(folder, run.config, run.study, (), "process 1", False))
    assert (contents.networks, contents.summary, contents.data) == (None, None, None)


def test_a_missing_or_damaged_supernet_is_named(tiny_run) -> None:
    folder = tiny_run()
    folder.supernet.write_bytes(b"x")
    with pytest.raises(CorruptStateError, match=r"supernet\.safetensors"):
        gather(read_run(folder))
    folder.supernet.unlink()
    with pytest.raises(CorruptStateError, match=r"supernet\.safetensors is missing"):
        gather(read_run(folder))


def changed(trial: Trial, **figures: object) -> Trial:
    return replace(trial, points=tuple(replace(point, **figures) for point in trial.points))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda trial: replace(trial, parameters={**trial.parameters, "stage2_depti": 1}), "stage2_depti: no such"),
        (lambda trial: replace(trial, parameters={**trial.parameters, "stage2_depth": 7}), "stage2_depth: must be one"),
        (lambda trial: changed(trial, exit_rates={"exit0": 0.5, "final": 0.5}), "rate of exit1: missing"),
        (lambda trial: changed(trial, thresholds={"exit9_threshold": 0.5}), "exit9_threshold: no such"),
        (lambda trial: replace(trial, key="0123456789ab"), "not of 0123456789ab"),
    ],
)
def test_trials_that_are_not_of_the_space_are_refused(tiny_runs, change, message: str) -> None:
    run = read_run(tiny_runs())
    with pytest.raises(CorruptStateError, match=message):
        gather(replace(run, trials=(change(run.trials[0]), *run.trials[1:])))


@pytest.mark.parametrize("damage", ["{", "[]", '{"name": 3}', "other"])
def test_a_damaged_summary_is_named(tiny_run, damage: str) -> None:
    folder = tiny_run()
    known = json.loads(folder.summary.read_text())
    folder.summary.write_text(json.dumps({**known, "data": {"dataset": 5}}) if damage == "other" else damage)
    with pytest.raises(CorruptStateError, match=r"summary\.json"):
        gather(read_run(folder))


def test_damaged_trained_networks_are_named(tiny_run) -> None:
    folder = tiny_run()
    (folder.trained / "abc-seed0").mkdir(parents=True)
    (folder.trained / "abc-seed0" / "network.safetensors").write_bytes(b"x")
    with pytest.raises(NetworkFileError, match=r"network\.safetensors"):
        trained_networks(folder)


@pytest.mark.parametrize("change", ["last row removed", "other trials"])
def test_a_summary_of_other_trials_is_left_out_with_a_warning(tiny_run, change: str, caplog, monkeypatch) -> None:
    folder = tiny_run()
    assert gather(read_run(folder)).summary is not None
    assert caplog.messages == []
    if change == "last row removed":
        with closing(sqlite3.connect(folder.study)) as rows:
            rows.execute("DELETE FROM trials WHERE number = (SELECT max(number) FROM trials)")
            rows.commit()
    else:  # as many, of another run
        monkeypatch.setattr(contents, "hypervolume", lambda *_, **__: 1.5)
    found = gather(read_run(folder))
    assert (found.summary, found.data) == (None, None)
    assert found.networks is not None
    [message] = caplog.messages
    assert "describes other trials than" in message
    assert "--resume` writes it again" in message
