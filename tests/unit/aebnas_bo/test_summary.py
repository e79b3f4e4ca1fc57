import json

import pytest

from aebnas_bo.config_loading import load_config
from aebnas_bo.data.datasets import load_splits


def test_summary_has_chance_and_the_largest_class(tiny_runs) -> None:
    data = json.loads(tiny_runs().summary.read_text())["data"]
    splits = load_splits(load_config(None).data)
    assert data["chance_accuracy"] == 10.0
    for name, images in (("validation", splits.validation), ("test", splits.test)):
        counts = images.labels.bincount()
        assert data["largest_class"][name]["name"] == str(int(counts.argmax()))
        assert data["largest_class"][name]["accuracy"] == pytest.approx(100.0 * int(counts.max()) / len(images))
