"""Wrong values of options: each is refused in one line that names it, with its exit code, and leaves nothing."""

from pathlib import Path

import pytest

PICTURE, NETWORK = "picture.png", "network.safetensors"
SELECTION = "expected knee, best-accuracy, macs<=X (millions), latency<=X (milliseconds), accuracy>=Y"
TIME = "expected a positive number with a unit, such as 90s, 30m or 2h"
SEEDS = "expected numbers and ranges such as 0-4 or 0,3,7-9"
SIZES = "expected whole numbers from 1 to 65536 separated by commas, such as 1,64"

# Command, option and value, exit code, a part of the message. RUN, FILE and the like stand for what is not there.
VALUES = [
    *[(["run", "--budget", value], 2, "--budget") for value in ("", "-1", "0", "nan", "inf", "1.5", "3 apples", "٣")],
    (["run", "--budget", "9" * 20], 3, "search.budget: input should be less than or equal to 100000"),
    *[(["run", "--time-budget", value], 2, TIME) for value in ("", "0", "5", "-5m", "nan", "inf", "5x", "m", "1h30")],
    (["run", "--time-budget", "99999999999h"], 3, "time_budget: input should be less than or equal to 100000"),
    *[(["run", "--max-average-macs", value], 2, "--max-average-macs") for value in ("", "-1", "nan", "0x10", "2.6 M")],
    *[(["run", "--max-average-macs", value], 3, "search.max_average_macs: ") for value in ("0", "inf", "1e400")],
    *[(["run", "--min-accuracy", value], 2, "--min-accuracy") for value in ("-1", "100.5", "inf", "90%")],
    (["run", "--seed", "-1"], 2, "--seed"),
    (["run", "--seed", str(2**32 + 1)], 3, "seed: input should be less than or equal to 4294967296"),
    (["run", "--device", "gpu"], 2, "'cpu', 'cuda', 'auto'"),
    (["run", "--out", NETWORK], 2, f"--out {NETWORK}: is a file; give a folder"),
    (["run", "--config", "."], 3, "cannot be read"),
    *[(["run", "--set", value], 3, "expected section.key=value") for value in ("", "=", "a", "=3", "--json")],
    (["run", "--set", "search.budget="], 3, "search.budget: input should be a valid integer, got None"),
    (["run", "--set", "search.budget=\x1b[31m"], 3, r"\x1b[31m: line 1: the character U+001B is not allowed"),
    *[(["train", "RUN", "--select", value], 2, SELECTION) for value in ("", "nan", "best", "macs<=", "macs<=-1")],
    (["train", "RUN", "--select", "a\nb\x1b[31m"], 2, r"--select a\nb\x1b[31m: expected knee"),
    (["train", "RUN", "--select", "macs<=1e999"], 2, "--select macs<=1e999: expected a finite number above 0"),
    (["train", "RUN", "--select", "accuracy>=101"], 2, "expected a percentage of at most 100"),
    *[(["train", "RUN", "--shortlist", value], 2, "--shortlist") for value in ("-1", "1", "nan", "two")],
    *[(["train", "RUN", "--epochs", value], 2, "--epochs") for value in ("0", "-3", "1e3")],
    *[(["train", "RUN", "--seeds", value], 2, SEEDS) for value in ("", "a", "0-", "1.5", "0--1", "nan")],
    *[(["train", "RUN", "--tune-for", value], 2, "--tune-for") for value in ("", "best", "macs<=0", "accuracy>=101")],
    (["export", "RUN", "--seed", "-1"], 2, "--seed"),
    (["export", "RUN"], 2, "RUN: no such folder; give the folder that `aebnas-bo run` wrote"),
    (["predict", "folder", PICTURE], 2, "folder: holds no exported network; expected one of network.safetensors"),
    (["predict", NETWORK, "folder"], 4, "folder: holds no pictures"),
    (["predict", NETWORK, "nowhere"], 4, "nowhere: no such picture or folder"),
    (["predict", NETWORK, PICTURE, "--device", "gpu"], 2, "'cpu', 'cuda'"),
    *[(["latency", NETWORK, PICTURE, "--batch-sizes", value], 2, SIZES) for value in ("", "0", "-1", "1,x", "nan")],
    *[(["latency", NETWORK, PICTURE, "--threads", value], 2, "--threads") for value in ("0", "-1", "many")],
    (["latency", NETWORK, PICTURE, "--batches", "0"], 2, "--batches"),
    (["latency", NETWORK, PICTURE, "--out", "folder"], 2, "--out folder: is a folder; give a file"),
    (["latency", "folder", PICTURE], 2, "folder: holds no network in the format torch; expected network.safetensors"),
    (["latency-table", "ok.yaml", "--out", "folder"], 2, "--out folder: is a folder; give a file"),
    (["latency-table", "ok.yaml", "--out", f"{NETWORK}/x"], 2, "cannot be written (File exists); use another file"),
    (["report", "RUN", "--select", "best"], 2, SELECTION),
    (["report", "RUN", "--out", "folder"], 2, "--out folder: is a folder; give a file"),
    (["status", "folder"], 2, "folder: holds no study"),
    (["space", "--show", "huge"], 2, "'auto', 'tiny'"),
    *[(["space", "--show", "auto", "--image-size", value], 2, "--image-size") for value in ("3", "513", "32x32")],
    (["space", "folder"], 3, "cannot be read"),
    *[(["fidelity", "--num-architectures", value], 2, "--num-architectures") for value in ("3", "-1", "few")],
    *[(["fidelity", "--band", value], 2, "expected LOW,HIGH") for value in ("", "1", "2,1", "a,b", "nan,2", "1,inf")],
    *[(["compare", "ok.yaml", "--methods", value], 2, "--methods") for value in ("", ",", "nacho", "../x", "folder")],
    *[(["compare", "ok.yaml", "--seeds", value], 2, SEEDS) for value in ("", "a", "5,,6", "1-")],
    (["compare", "ok.yaml", "--budget", "0"], 2, "--budget"),
]


@pytest.mark.parametrize(("arguments", "code", "message"), VALUES, ids=lambda value: str(value)[:60])
def test_a_wrong_value_is_refused_in_one_line(
    arguments, code: int, message: str, call, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr("aebnas_bo.cli.reporting.Command.progress", lambda self: pytest.fail("work begins"))
    (tmp_path / "folder").mkdir()
    (tmp_path / "ok.yaml").write_text("data: {dataset: digits}\n")
    for name in (NETWORK, PICTURE):
        (tmp_path / name).write_text("never read")
    before = sorted(tmp_path.rglob("*"))
    result = call(*arguments)
    assert result.returncode == code, result
    assert message in " ".join(result.stderr.replace("│", " ").split()), result.stderr
    if not result.stderr.startswith("Usage"):
        [line] = result.stderr.splitlines()
        assert line.startswith("error: ")
        assert line.isprintable()
    assert sorted(tmp_path.rglob("*")) == before
