import json

import pytest
from typer.testing import CliRunner

from aebnas_bo.cli.app import app
from aebnas_bo.deploy.training_folders import trained_networks
from aebnas_bo.storage.run_folder import RunFolder

SETTINGS = ("data.max_train_images=300", "shortlist.rungs=[[9,1],[2,2]]")


@pytest.fixture
def invoke(monkeypatch):
    monkeypatch.setattr("aebnas_bo.cli.reporting.StopSignals.install", lambda self: None)
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


@pytest.fixture
def run(tiny_run) -> RunFolder:
    return tiny_run(*SETTINGS)


def test_the_best_of_a_short_list_is_trained_to_the_end(invoke, run: RunFolder) -> None:
    call = ("train", str(run.path), "--select", "macs<=0.2", "--shortlist", "3", "--epochs", "1", "--seeds", "0-1")
    result = invoke(*call, "--json", "--quiet")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    [winner] = [row["key"] for row in document["shortlist"] if row["rung"] == 2 and row["is_kept"]]
    assert [row["epochs"] for row in document["shortlist"]] == [1, 1, 1, 2, 2]
    assert {row["goal"] for row in document["shortlist"]} == {"macs<=0.2"}
    assert [network["key"] for network in document["networks"]] == [winner, winner]
    assert [one.description.origin.seed for one in trained_networks(run)] == [0, 1]
    assert (run.shortlist / "shortlist.csv").exists()
    assert run.front_figure.exists()

    again = invoke(*call)
    assert again.exit_code == 0, again.output
    assert "Short list" in again.stdout
    assert "chosen" in again.stdout
    assert "short training of" not in again.stderr  # all of it was trained before


def test_without_a_short_list_the_selected_network_is_trained(invoke, run: RunFolder) -> None:
    result = invoke("train", str(run.path), "--select", "best-accuracy", "--epochs", "1", "--json", "--quiet")
    assert json.loads(result.stdout)["shortlist"] == []
    assert not run.shortlist.exists()


def test_rungs_can_be_changed_for_one_training(invoke, run: RunFolder) -> None:
    call = ("train", str(run.path), "--shortlist", "2", "--set", "shortlist.rungs=[[4,2]]", "--epochs", "1", "--json")
    assert [row["epochs"] for row in json.loads(invoke(*call).stdout)["shortlist"]] == [2, 2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--shortlist", "1"], "--shortlist"),
        (["--shortlist", "4", "--select", "41e7c0"], "leave out --shortlist, or select knee"),
        (
            ["--shortlist", "4", "--set", "shortlist.rungs=[[2,1],[4,1]]"],
            "the number of networks must not increase over rungs",
        ),
    ],
)
def test_mistakes_of_a_short_list_are_named(invoke, run: RunFolder, arguments, message: str) -> None:
    result = invoke("train", str(run.path), *arguments)
    assert result.exit_code in {2, 3}
    assert message in " ".join(result.output.split())
    assert not run.shortlist.exists()
