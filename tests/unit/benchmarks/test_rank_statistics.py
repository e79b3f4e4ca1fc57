import json
import shutil
from pathlib import Path

import pytest

from aebnas_bo.experiments.rank_correlation.settings import FidelityConfig
from benchmarks.rank_statistics import compute_again

pytestmark = pytest.mark.slow

STUDY = Path(__file__).resolve().parents[3] / "benchmarks" / "results" / "supernet" / "fidelity"


def test_statistics_of_a_finished_study_come_out_the_same_from_its_rows(tmp_path: Path) -> None:
    for name in ("fidelity.csv", "fidelity.json"):
        shutil.copy(STUDY / name, tmp_path)
    before = json.loads((tmp_path / "fidelity.json").read_text())
    found = compute_again(tmp_path, FidelityConfig())
    after = json.loads((tmp_path / "fidelity.json").read_text())
    assert after.keys() == before.keys()
    assert after["verdict"] == before["verdict"]
    for entry, committed in zip(found, before["agreements"], strict=True):
        tau = committed["kendall_tau"]
        assert (entry.quantity, entry.kendall_tau.value) == (committed["quantity"], pytest.approx(tau["value"]))
        assert (entry.kendall_tau.low, entry.kendall_tau.high) == pytest.approx((tau["low"], tau["high"]))
    assert (tmp_path / "fidelity.png").exists()
