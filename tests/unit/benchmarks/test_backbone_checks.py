import json

import pytest

from aebnas_bo.config.loading import load_config
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.space import macs
from benchmarks.backbone_checks import check_macs

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("make", ["TinyResNet", "TinyViT"])
def test_macs_are_those_that_run(make: str, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = {"source": "module", "name": f"tests.given_networks:{make}"}
    settings = [f"space={json.dumps({'backbone': backbone})}", "data.max_train_images=300"]
    problem = Problem.load(load_config(None, settings))
    assert check_macs(problem, 10, 16) == 0
    own = macs.MacsPrices.branch
    monkeypatch.setattr(macs.MacsPrices, "branch", lambda prices, plan: own(prices, plan) + 1)
    assert check_macs(problem, 10, 16) >= 5
