import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from aebnas_bo.cli.app import app


@pytest.fixture
def invoke(monkeypatch):
    monkeypatch.setattr("aebnas_bo.cli.reporting.StopSignals.install", lambda self: None)
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--select", "fastest"], 2, "expected knee"),
        (["--select", "macs<=0.000001"], 2, "no network found meets it"),
        (["--out", "."], 2, "is a folder"),
        (["--out", "/dev/null/report.html"], 2, "cannot be written"),
    ],
)
def test_mistakes_are_named_and_leave_no_page(invoke, tiny_run, arguments, code: int, message: str) -> None:
    folder = tiny_run()
    result = invoke("report", str(folder.path), *arguments)
    assert (result.exit_code, message in result.output) == (code, True)
    assert not folder.report.exists()


@pytest.mark.parametrize(("damage", "code"), [("study.db", 7), ("all", 2)])
@pytest.mark.parametrize("command", ["report", "status"])
def test_damage_is_an_error_with_its_code(invoke, tiny_run, command: str, damage: str, code: int) -> None:
    folder = tiny_run()
    if damage == "all":
        shutil.rmtree(folder.path)
    else:
        (folder.path / damage).write_bytes(b"\x00: [" * 3000)
    result = invoke(command, str(folder.path), "--json")
    assert result.exit_code == code, result.output
    document = json.loads(result.stdout)
    assert document["exit_code"] == code
    assert (damage if damage != "all" else "no such folder") in document["problems"][0]


def test_the_report_can_go_elsewhere_and_show_what_is_asked_for(invoke, tiny_run, tmp_path: Path) -> None:
    folder = tiny_run()
    result = invoke(
        "report", str(folder.path), "--out", str(tmp_path / "p.html"), "--select", "best-accuracy", "--json"
    )
    document = json.loads(result.stdout)
    assert document["report"] == str(tmp_path / "p.html")
    assert [one["title"] for one in document["chosen"]] == ["most accurate"]
    assert (tmp_path / "p.html").is_file()
    assert not folder.report.exists()


def test_status_as_json_holds_every_figure(invoke, tiny_run) -> None:
    document = json.loads(invoke("status", str(tiny_run().path), "--json").stdout)
    assert (document["state"], document["trials"], document["budget"], document["failed"]) == ("finished", 14, 14, 1)
    assert set(document["last_trial"]) == {"number", "status", "proposal_s", "evaluation_s"}
