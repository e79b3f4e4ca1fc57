import base64
import hashlib
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch
from rich.console import Console

from aebnas_bo.analysis.selection import parse_selection
from aebnas_bo.analysis.trained_point import TrainedPoint
from aebnas_bo.deploy.per_class_accuracy import class_predictions
from aebnas_bo.deploy.plain_baseline import PlainContext, train_plain
from aebnas_bo.deploy.training_pipeline import choose_candidate, train_candidate
from aebnas_bo.errors import UsageError
from aebnas_bo.preparation.progress import RunProgress
from aebnas_bo.report.contents import Contents, gather
from aebnas_bo.report.networks import show_network
from aebnas_bo.report.number_text import macs_text
from aebnas_bo.report.page import render, script_json, write_report
from aebnas_bo.report.stored_run import read_run
from aebnas_bo.search.trial import Observation
from aebnas_bo.storage.sealed_json import write_sealed
from tests.made_trials import completed

EVIL = "</script><script>alert(1)</script><!--"
SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
DATA = re.compile(r'<script type="application/json" id="data-[a-z_0-9-]+">(.*?)</script>', re.DOTALL)


@pytest.fixture(scope="module")
def contents(tiny_runs) -> Contents:
    return gather(read_run(tiny_runs()))


def without_plotly(page: str) -> str:
    return SCRIPT.sub("", page)


@pytest.mark.slow
def test_the_page_holds_everything_and_asks_for_nothing(contents: Contents) -> None:
    page = render(contents, datetime(2026, 1, 2, 3, 4, tzinfo=UTC))
    for section in (
        "front",
        "progress",
        "networks",
        "genes",
        "surrogates",
        "times",
        "failures",
        "configuration",
        "again",
    ):
        assert f'<section id="{section}">' in page
    assert "2026-01-02 03:04 UTC" in page
    assert page.count("* plotly.js v") == 1
    body = without_plotly(page)
    assert re.findall(r'(?:src|href|action)="(?!#|data:)', body) == []
    assert "@import" not in body
    assert "url(" not in body
    assert not any("<" in data for data in DATA.findall(page))  # so that none of their texts can end the script
    figures = [json.loads(data) for data in DATA.findall(page)]
    assert len(figures) == body.count('class="plot"') >= 7
    assert str(contents.run.folder.path) in body


def test_a_network_that_ends_at_an_exit_is_said_to(tiny_runs) -> None:
    found = gather(read_run(tiny_runs("space.thresholds=tuned", "estimation.tuning.may_switch_off=true")))
    assert found.networks is not None
    space = found.networks.space
    point = {p.name: p.inactive_value for p in space.search_space.parameters}
    point = space.search_space.canonical({**point, "exit1_depth": 1, "exit2_depth": 1})
    metrics, sems = {"accuracy": 90.0, "average_macs": 0.1}, {"accuracy": 1.0}
    rates, thresholds = {"exit1": 0.4, "exit2": 0.6, "final": 0.0}, {"exit1_threshold": 0.5, "exit2_threshold": 0.0}
    trial = completed(0, "abc", point, metrics, sems=sems, exit_rates=rates, thresholds=thresholds)
    shown = show_network("knee", Observation(trial), space, measured=None)
    page = without_plotly(render(replace(found, networks=replace(found.networks, chosen=(shown,)))))
    assert "The network ends at Exit 2, which takes all remaining images" in page
    assert f"An image that does not leave early costs {macs_text(shown.outputs[-1].macs)}." in page


def test_a_third_objective_has_a_figure_a_column_and_its_own_network(tiny_runs) -> None:
    limits = ("search.objectives=[accuracy, average_macs, latency_ms]", "search.max_latency_ms=1.5")
    found = gather(read_run(tiny_runs(*limits)))
    page = without_plotly(render(found))
    for text in ("data-front-average_macs", "data-front-latency_ms", '<th class="n">Latency (ms)</th>'):
        assert text in page
    assert "no network found is both more accurate and cheaper in this cost" in " ".join(page.split())
    assert "most accurate within 1.5 ms" in page
    assert found.networks is not None
    assert [report.metric for report in found.networks.surrogates] == ["accuracy", "average_macs", "latency_ms"]
    assert "latency_ms &lt;= 1.5" in page
    best = max(trial.metrics["accuracy"] for trial in found.networks.front)
    assert f"<b>{best:.2f} %</b><span>best accuracy" in page


def test_the_policy_names_the_hashes_of_the_two_scripts_and_nothing_else(contents: Contents) -> None:
    page = render(contents)
    policy = re.search(r'Content-Security-Policy" content="(.*?)"', page)
    assert policy is not None
    directives = policy[1].replace("&#39;", "'")
    assert "default-src 'none'" in directives
    assert "unsafe-inline" not in directives.partition("script-src")[2].partition(";")[0]
    scripts = SCRIPT.findall(page)
    assert len(scripts) == 2
    for script in scripts:
        value = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{value}'" in directives


def test_whatever_comes_from_the_run_is_escaped(contents: Contents) -> None:
    run = contents.run
    assert contents.data is not None
    trials = (*run.trials[:-1], replace(run.trials[-1], status="FAILED", reason=EVIL))
    evil = replace(
        contents,
        run=replace(
            run,
            study=replace(run.study, name=EVIL),
            config=run.config.model_copy(update={"name": EVIL}),
            trials=trials,
        ),
        data=replace(contents.data, classes=(EVIL, "b"), dataset=EVIL),
    )
    page = render(evil)
    assert len(SCRIPT.findall(page)) == 2
    assert "<script>alert" not in page
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in page
    assert "<img src=x" not in page  # the reason of trial 5
    assert "&lt;img src=x onerror=alert(1)&gt;" in page


def test_failures_second_attempts_and_times_are_listed(contents: Contents) -> None:
    body = without_plotly(render(contents))
    assert "1 proposals were not made" not in body
    assert "One proposal was made by a fallback" in body
    assert "second attempt: no luck" in body
    assert "1 min 15 s" not in body  # below two minutes seconds are counted
    assert "75 s" in body


def test_a_study_that_has_just_begun_has_a_page(contents: Contents) -> None:
    run = replace(contents.run, trials=(), process="process 1", has_supernet=False)
    body = without_plotly(render(Contents(run, None)))
    assert "is in training" in body
    assert '<section id="front">' not in body
    assert "No trial has ended yet" in body


def test_missing_tables_are_told(tiny_run) -> None:
    folder = tiny_run()
    for path in folder.estimates.iterdir():
        path.unlink()
    assert "is not in the folder" in without_plotly(render(gather(read_run(folder))))


def test_the_page_appears_whole_where_it_is_wanted(contents: Contents, tmp_path: Path) -> None:
    assert write_report(contents, tmp_path / "page.html") == tmp_path / "page.html"
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    assert (tmp_path / "page.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    with pytest.raises(UsageError, match="is a folder"):
        write_report(contents, tmp_path)
    with pytest.raises(UsageError, match="cannot be written"):
        write_report(contents, tmp_path / "page.html" / "page.html")


def test_trained_networks_have_a_section_of_their_own(tiny_run, contents: Contents) -> None:
    folder = tiny_run()
    candidate = choose_candidate(folder, parse_selection("knee"), ["final_training.epochs=1"])
    network = train_candidate(candidate, 3, is_again=False, progress=RunProgress(Console(), quiet=True))
    found = gather(read_run(folder))
    assert [one.key for one in found.trained] == [network.key]
    body = without_plotly(render(found))
    section = body.partition('<section id="trained">')[2].partition("</section>")[0]
    assert network.key in section
    assert f"{network.test.accuracy:.2f} ± {network.test.accuracy_sem:.2f}" in section
    assert "So far" not in section
    two = without_plotly(render(replace(found, test_looks=2)))
    assert "So far 2 networks were measured on them" in two
    assert found.data is not None
    assert found.data.largest_class is not None
    assert f"is correct for {found.data.largest_class['test'].accuracy:.2f} % of the test images" in section
    assert f"Classes of {network.key}, seed 3" in section
    assert network.test.by_class is not None
    assert f"class 0, prediction 0: {network.test.by_class.correct[0]} of {network.test.by_class.images[0]}" in section
    assert "Test images were not used" not in body
    assert "Test images were not used" in without_plotly(render(contents))


def test_after_a_brief_search_the_page_shows_trained_networks_and_no_estimates(tiny_run) -> None:
    folder = tiny_run()
    write_sealed(folder.time_plan, {"is_brief": True})
    candidate = choose_candidate(folder, parse_selection("knee"), ["final_training.epochs=1"])
    network = train_candidate(candidate, 3, is_again=False, progress=RunProgress(Console(), quiet=True))
    body = without_plotly(render(gather(read_run(folder))))
    assert "too short for estimates that rank networks" in body
    assert f"1 network is trained. It has {network.test.accuracy:.1f}\xa0% of the test images right" in body
    assert 'id="plot-trained"' in body
    assert network.estimated_accuracy is None
    assert "Estimated" not in body
    assert not [name for name in ("front", "progress", "networks", "genes") if f'<section id="{name}">' in body]
    chosen = without_plotly(render(gather(read_run(folder), [parse_selection("knee")])))
    assert '<section id="front">' in chosen


def test_plain_networks_are_listed_and_marked(tiny_run) -> None:
    folder = tiny_run()
    candidate = choose_candidate(folder, parse_selection("knee"), ["final_training.epochs=1"])
    context, progress = PlainContext(folder, candidate.problem), RunProgress(Console(), quiet=True)
    searched, plain = (
        train_candidate(candidate, 3, is_again=False, progress=progress),
        train_plain(context, 2, 3, progress=progress),
    )
    found = gather(read_run(folder))
    assert (found.trained, found.plain) == ((searched,), (plain,))
    assert len(found.points) == 2
    assert searched.estimated_accuracy == candidate.observed.metrics["accuracy"]
    body = without_plotly(render(found))
    assert '<th class="n">Estimated (%)</th>' in body
    section = body.partition('<section id="trained">')[2].partition("</section>")[0]
    assert '<td class="key">plain network of width 2</td>' in section
    assert f"{plain.test.accuracy:.2f} ± {plain.test.accuracy_sem:.2f}" in section
    assert "from scratch and without a teacher" in section
    assert "plain network of width 2, seed 3, 1 epoch" in body


def test_of_many_classes_the_worst_are_shown_and_names_are_escaped(tiny_run) -> None:
    folder = tiny_run()
    candidate = choose_candidate(folder, parse_selection("knee"), ["final_training.epochs=1"])
    description = train_candidate(candidate, 0, is_again=False, progress=RunProgress(Console(), quiet=True))
    labels = torch.arange(25).repeat(4)
    predictions = class_predictions(labels, torch.where(labels == 7, 0, labels), 25)
    names = tuple(f"<b>{label}</b>" for label in range(25))
    test = description.test.model_copy(update={"by_class": predictions})
    trained = description.model_copy(update={"test": test, "class_names": names})
    body = without_plotly(render(replace(gather(read_run(folder)), trained=(trained,))))
    section = body.partition('<section id="trained">')[2].partition("</section>")[0]
    assert "<b>7" not in section
    assert section.index("&lt;b&gt;7&lt;/b&gt;") < section.index("&lt;b&gt;1&lt;/b&gt;")
    assert "&lt;b&gt;24&lt;/b&gt;" not in section


def test_corrected_accuracies_are_shown_where_they_are_known(contents: Contents) -> None:
    assert contents.networks is not None
    assert contents.summary is not None
    assert "Corrected (%)" not in without_plotly(render(contents))
    place = contents.networks.front[0]
    rows = [{"trial": place.number, "setting": place.index, "accuracy_corrected": 12.25}]
    summary = replace(contents.summary, front=rows, optimism={"thresholds": 1.5, "choice": 0.25})
    section = without_plotly(render(replace(contents, summary=summary))).partition('<section id="front">')[2]
    assert "Corrected (%)" in section
    assert '<td class="n">12.25</td>' in section
    assert (
        "Mean optimism of tuning thresholds: +1.50 points. Mean optimism of choosing the front: +0.25 points."
        in section
    )


def test_json_within_a_script_cannot_end_it_and_stays_what_it_is() -> None:
    value = {"text": EVIL + "&amp;", "number": 1.5}
    written = script_json(json.dumps(value))
    assert not set("<>&") & set(written)
    assert json.loads(written) == value


def test_trained_accuracies_stand_beside_the_estimates(contents: Contents) -> None:
    assert contents.networks is not None
    front = without_plotly(render(contents)).partition('<section id="front">')[2].partition("</section>")[0]
    assert "Estimated (%)" in front
    assert "Trained (%)" not in front
    key = contents.networks.front[-1].key
    points = (TrainedPoint(key, "short", 37, 12.25, 0.5), TrainedPoint("elsewhere", "final", 8, 90.0, 0.5))
    page = without_plotly(render(replace(contents, points=points)))
    section = page.partition('<section id="front">')[2].partition("</section>")[0]
    [row] = re.findall(rf'<tr><td class="key">{key}.*?</tr>', section, flags=re.DOTALL)[-1:]
    assert '<td class="n">12.25</td><td class="n">500\u00a0k</td><td class="n">37 (short)</td>' in row
    others = [trial for trial in contents.networks.front if trial.key != key]
    assert section.count('<td class="n">–</td><td class="n">–</td><td class="n">–</td>') == len(others)
    assert "not trained, only estimated" in section
