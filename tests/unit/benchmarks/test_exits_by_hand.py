import json
from pathlib import Path

import pytest

from aebnas_bo.config.loading import load_config
from aebnas_bo.data.datasets import load_splits
from benchmarks import exits_by_hand
from benchmarks.exits_by_hand import EVERY, HALF, SEARCHED, SOFTMAX, Goal, hand_problem, table
from benchmarks.records import read_rows
from tests.given_networks import save_random_weights


def rows(method: str, accuracies: list[float], macs: float = 1.0) -> list[dict[str, str]]:
    return [
        {"method": method, "seed": str(seed), "goal": goal, "accuracy": str(accuracy), "average_macs": str(macs)}
        for seed, accuracy in enumerate(accuracies)
        for goal in ("0.3", "1 point less")
    ]


def test_differences_are_paired_by_seed_and_goal() -> None:
    text = table([*rows(EVERY, [80.0, 70.0]), *rows(SEARCHED, [82.0, 73.0], macs=0.8)])
    assert "searched against every block: +2.50 ± 0.50 (2 pairs) points at equal budgets" in text
    assert "searched against every block: +20.00 ± 0.00 (2 pairs) % fewer MACs at 1 point less" in text
    assert "every block             0.3: 75.00 / 1.000" in text


@pytest.mark.slow
def test_searched_and_hand_made_exits_are_compared_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = save_random_weights("TinyResNet", tmp_path / "w.safetensors", num_classes=10, in_channels=1)
    backbone = {"source": "module", "name": "tests.given_networks:TinyResNet", "weights": str(weights)}
    config = tmp_path / "c.yaml"
    config.write_text(
        f"""\
data: {{dataset: digits, max_train_images: 300}}
space: {json.dumps({"backbone": backbone})}
supernet: {{epochs: 1, random_subnets: 0, cache: false}}
final_training: {{epochs: 1, learning_rate: 0.1}}
search: {{strategy: random, budget: 4}}
""",
        encoding="utf-8",
    )
    loaded = load_config(config)
    problem = hand_problem(loaded, load_splits(loaded.data))
    assert len(problem.space.skeleton.exit_stages) == 2
    command = ["exits_by_hand", str(config), "--shares", "0.9", "--seeds", "0", "--out", str(tmp_path / "out")]
    monkeypatch.setattr("sys.argv", command)
    exits_by_hand.main()
    found = read_rows(tmp_path / "out" / "rows.csv")
    assert [(row["method"], row["goal"]) for row in found] == [
        (method, str(goal)) for method in (HALF, EVERY, SOFTMAX, SEARCHED) for goal in (Goal(0.9), Goal(None))
    ]
    given = problem.space.skeleton.given
    assert given is not None
    assert all(float(row["average_macs"]) <= 1.02 * 0.9 * given.macs / 1e6 for row in found if row["goal"] == "0.9")
    exits_by_hand.main()
    assert read_rows(tmp_path / "out" / "rows.csv") == found
