import json
from dataclasses import replace

import pytest

from aebnas_bo.analysis.front_correction import CorrectedPoint, FrontCorrection
from aebnas_bo.analysis.pareto import pareto_front
from aebnas_bo.analysis.summary import SearchResult, corrected_accuracies, majority_text, read_summary, write_summary
from aebnas_bo.config.loading import load_config, parse_config
from aebnas_bo.data.datasets import load_splits
from aebnas_bo.search.trial_store import TrialStore
from aebnas_bo.storage.sealed_json import read_sealed, write_sealed


def test_summary_has_chance_and_the_largest_class(tiny_runs) -> None:
    data = json.loads(tiny_runs().summary.read_text())["data"]
    splits = load_splits(load_config(None).data)
    assert data["chance_accuracy"] == 10.0
    for name, images in (("validation", splits.validation), ("test", splits.test)):
        counts = images.labels.bincount()
        assert data["largest_class"][name]["name"] == str(int(counts.argmax()))
        assert data["largest_class"][name]["accuracy"] == pytest.approx(100.0 * int(counts.max()) / len(images))


def test_summary_has_corrected_accuracies_of_the_front(tiny_runs, tmp_path) -> None:
    folder = tiny_runs()
    config = parse_config(folder.config.read_text(), "file")
    with TrialStore.open_read_only(folder.study) as store:
        trials, objectives = store.trials(), store.study.objectives
    front = pareto_front(trials, objectives)
    points = {trial.place: CorrectedPoint(40.0, 42.0, 0.5) for trial in front[:1]}
    correction = FrontCorrection(points, 2.0, None)
    written = write_summary(
        tmp_path / "summary.json", config, load_splits(config.data),
        result=SearchResult(trials, objectives, correction), supernet_source="trained", seconds={},
    )  # fmt: skip
    assert read_summary(tmp_path / "summary.json") == written
    assert written.optimism == {"thresholds": 2.0}
    assert corrected_accuracies(written) == {front[0].place: 40.0}
    assert corrected_accuracies(read_summary(folder.summary)) == {}


def test_summary_of_an_earlier_version_is_read(tiny_run) -> None:
    folder = tiny_run()
    document = read_sealed(folder.summary, "")
    assert isinstance(document, dict)
    del document["optimism"]
    write_sealed(folder.summary, document)
    assert read_summary(folder.summary).optimism == {}


@pytest.mark.parametrize(
    ("share", "classes", "is_named"),
    [
        (84.0, ["a", "b"], True),
        (83.0, ["a", "b"], False),
        (40.0, ["a", "b", "c"], False),
        (11.0, list("abcdefghij"), False),
    ],
)
def test_the_largest_class_is_a_reference_where_classes_are_unbalanced(tiny_runs, share, classes, is_named) -> None:
    data = {"classes": classes, "largest_class": {"validation": {"name": "a", "accuracy": share}}}
    found = majority_text(replace(read_summary(tiny_runs().summary), data=data))
    assert bool(found) == is_named
    if is_named:
        assert found == (
            "for reference: always predicting 'a' (the largest class) is correct for 84.00 % of the validation images"
        )
