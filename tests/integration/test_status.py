"""Looking at a run while another process works in its folder."""

import hashlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from aebnas_bo.report.status import run_status, status_rows
from aebnas_bo.report.stored_run import StoredRun, read_run
from aebnas_bo.storage.run_folder import RunFolder

from .conftest import SMALL


def snapshot(folder: Path) -> dict[str, tuple[int, int, str]]:
    """Return modification time, size and content of every file."""
    return {
        str(path): (path.stat().st_mtime_ns, path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in folder.rglob("*")
        if path.is_file()
    }


def frozen(process: "subprocess.Popen[str]", folder: Path, is_there: Callable[[], bool]) -> StoredRun:
    """Wait for something, stop the process there and read its folder, which must stay exactly as it is."""
    deadline = time.monotonic() + 600
    while not is_there() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGSTOP)
    assert is_there(), process.stderr.read() if process.stderr and process.poll() is not None else "too slow"
    before = snapshot(folder)
    run = read_run(RunFolder(folder))
    run_status(run)
    assert snapshot(folder) == before
    return run


def test_a_run_is_seen_from_training_to_death_and_never_touched(tmp_path: Path, environment) -> None:
    # 60 epochs: a checkpoint is written every two seconds at most, and a fast machine trains twelve in that time
    command = [
        sys.executable, "-m", "aebnas_bo.run", *SMALL, "--set=supernet.epochs=60", "--set=supernet.cache=false",
        "--budget=400", "--out=a",
    ]  # fmt: skip
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    folder = RunFolder(tmp_path / "a")
    try:
        training = run_status(frozen(process, folder.path, folder.checkpoint.exists))
        assert training.state == "training supernet"
        assert 1 <= (training.supernet_epoch or 0) < 60
        assert str(process.pid) in (training.process or "")
        process.send_signal(signal.SIGCONT)

        def has_proposed() -> bool:
            return folder.supernet.exists() and len(list(folder.estimates.glob("*.safetensors"))) >= 7

        searching = run_status(frozen(process, folder.path, has_proposed))
        assert searching.state == "searching"
        assert 6 <= searching.trials < 400  # SMALL has a design of 5
        assert searching.seconds_left is not None
        assert searching.seconds_left > 0
        assert searching.most_accurate is not None
    finally:
        process.kill()
        process.wait()
    before = snapshot(folder.path)
    stopped = run_status(read_run(folder))
    assert (stopped.state, stopped.process, stopped.seconds_left) == ("stopped", None, None)
    assert stopped.trials - searching.trials in {0, 1}  # a transaction that was just being written counts from now on
    assert snapshot(folder.path) == before


def test_a_finished_run_is_told_in_a_few_lines_and_its_folder_kept(tiny_run, call) -> None:
    folder: RunFolder = tiny_run()
    before = snapshot(folder.path)
    folder.path.chmod(0o555)
    try:
        result = call("status", str(folder.path))
    finally:
        folder.path.chmod(0o755)
    assert result.returncode == 0, result.stderr
    for name, text in status_rows(run_status(read_run(folder))):
        assert name in result.stdout
        assert name == "last change" or text in result.stdout
    assert snapshot(folder.path) == before
