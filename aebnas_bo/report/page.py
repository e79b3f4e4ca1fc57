"""Report as one self-contained HTML page.

Jinja escapes all contents of a run. As a second protection, a content security policy allows only the page's two
scripts, by their hashes, and forbids network access.
"""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from aebnas_bo.analysis.front_table import evenly, exit_rates_text, thresholds_text
from aebnas_bo.analysis.trained_point import nearest_trained
from aebnas_bo.config.given_objects import given_objects
from aebnas_bo.config.loading import dump_config
from aebnas_bo.report.contents import Contents, Networks
from aebnas_bo.report.diagrams import network_diagram
from aebnas_bo.report.first_sentences import opening
from aebnas_bo.report.number_text import duration_text, macs_text, percent_text, signed_text
from aebnas_bo.report.report_figures import (
    Figure,
    MarkedNetworks,
    exits_figure,
    front_figure,
    hypervolume_figure,
    predictions_figure,
    relevance_figure,
    seconds_figure,
    sweep_figure,
    trained_figure,
)
from aebnas_bo.search.objectives import optimized
from aebnas_bo.search.strategy import FALLBACKS
from aebnas_bo.space.macs import MACS_PER_MILLION
from aebnas_bo.space.plain_family import plain_name
from aebnas_bo.storage.atomic_files import write_text
from aebnas_bo.storage.count_text import counted
from aebnas_bo.storage.run_folder import make_folder_of

FRONT_ROWS = 30
MOST_IN_MATRIX = 20  # classes; for more, the page lists those with the lowest accuracy
MOST_CLASSES = 20
SHOWN_GENES = 10  # strongest parameters; the others are collapsed
SECOND_CHOICES = tuple(f"{fallback}: " for fallback in FALLBACKS)
METRIC_NAMES = {"accuracy": "Accuracy", "average_macs": "Average MACs", "latency_ms": "Average latency"}
UNSAFE_IN_SCRIPTS = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}


@dataclass(frozen=True)
class Phase:
    """Time spent in one phase.

    Args:
        name: Name of the phase.
        seconds: Its duration in seconds.
        note: Calls that are included.
    """

    name: str
    seconds: float
    note: str


def write_report(contents: Contents, out: Path | None = None) -> Path:
    """Write the page atomically.

    Args:
        contents: Contents of the report.
        out: The file; by default `report.html` in the run folder.

    Returns:
        The file.

    Raises:
        UsageError: If it cannot be written there.
        StorageError: If the disk is full.
    """
    path = contents.run.folder.report if out is None else out
    make_folder_of(path)
    write_text(path, render(contents))
    return path


def render(contents: Contents, now: datetime | None = None) -> str:
    """Render the page.

    Args:
        contents: Contents of the report.
        now: Time of writing; by default the current time.
    """
    environment = Environment(
        loader=FunctionLoader(_read), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        macs=macs_text,
        share=percent_text,
        signed=signed_text,
        duration=duration_text,
        rates=exit_rates_text,
        thresholds=thresholds_text,
        trained=lambda one: nearest_trained(contents.points, one.key, one.metrics["average_macs"]),
        percent=lambda value: "–" if value is None else f"{value:.2f}",
    )
    scripts = {"plotly": get_plotlyjs(), "page": _read("page.js")}
    return environment.get_template("page.html").render(
        contents=contents,
        run=contents.run,
        networks=contents.networks,
        opening=opening(contents),
        figures=_figures(contents),
        diagrams=[network_diagram(network) for network in contents.networks.chosen] if contents.networks else [],
        front=evenly(contents.networks.front, FRONT_ROWS) if contents.networks else [],
        shown_genes=SHOWN_GENES,
        most_in_matrix=MOST_IN_MATRIX,
        most_classes=MOST_CLASSES,
        effect_scale=_effect_scale(contents.networks),
        phases=_phases(contents),
        failed=[trial for trial in contents.run.trials if trial.status == "FAILED"],
        fallbacks=[trial for trial in contents.run.trials if trial.reason.startswith(SECOND_CHOICES)],
        config=dump_config(contents.run.config),
        commands=_commands(contents),
        written=(now or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M UTC"),
        million=MACS_PER_MILLION,
        plain_name=plain_name,
        objectives=optimized(contents.run.study.objectives),
        metric_names={**{one.name: one.name for one in contents.run.study.objectives}, **METRIC_NAMES},
        has_latency=contents.run.config.search.has_latency,
        style=Markup(_read("page.css")),
        scripts={name: Markup(script) for name, script in scripts.items()},
        policy=_policy(scripts.values()),
        script_json=script_json,
    )


def _figures(contents: Contents) -> dict[str, Figure]:
    run, networks = contents.run, contents.networks
    found: list[Figure | None] = [seconds_figure(run.ended)] if run.ended else []
    if networks is None:
        found.append(trained_figure(contents.points))
    else:
        objectives, design = run.study.objectives, run.config.search.design_trials
        found += [
            *(
                front_figure(
                    networks.observed,
                    networks.front,
                    objectives,
                    right=cost,
                    design_trials=design,
                    marked=MarkedNetworks(networks.chosen, contents.points, networks.original),
                )
                for cost in optimized(objectives)[1:]
            ),
            hypervolume_figure(run.ended, objectives, design),
        ]
        for number, network in enumerate(networks.chosen, start=1):
            found += [exits_figure(network, number), sweep_figure(network, number)]
        by_name = {objective.name: objective for objective in objectives}
        uncertain = [report for report in networks.surrogates if report.quality is not None]
        found += [predictions_figure(report, by_name[report.metric]) for report in uncertain]
        if uncertain:
            found.append(relevance_figure(uncertain))
    return {figure.name: figure for figure in found if figure is not None}


def _effect_scale(networks: Networks | None) -> list[float]:
    """Return the largest effect on each metric, which has a bar of full length."""
    genes = networks.effects.genes if networks is not None and networks.effects is not None else ()
    effects = [level.effects for gene in genes for level in gene.levels]
    return [max(abs(effect.mean) for effect in column) or 1.0 for column in zip(*effects, strict=True)]


def _phases(contents: Contents) -> list[Phase]:
    ended = contents.run.ended
    phases = []
    if contents.summary is not None:
        names = (
            ("data", "Reading the images"),
            ("latencies", "Latencies of parts"),
            ("supernet", "Supernet"),
            ("search", "Search"),
        )
        seconds, origin = contents.summary.seconds, contents.summary.supernet
        notes = {"supernet": "trained" if origin == "trained" else f"not trained but taken from the {origin}"}
        phases = [
            Phase(name, seconds[key], f"in the latest call{f'; {notes[key]}' if key in notes else ''}")
            for key, name in names
            if key in seconds
        ]
    if ended:
        calls = f"{counted(len(ended), 'trial')}, all calls"
        phases += [
            Phase("Proposing", sum(trial.generation_s for trial in ended), calls),
            Phase("Evaluating", sum(trial.evaluation_s for trial in ended), calls),
        ]
    return phases


def _commands(contents: Contents) -> list[tuple[str, str]]:
    """Return possible next steps with their commands."""
    folder, config = contents.run.folder, contents.run.config
    path, again = shlex.quote(str(folder.path)), shlex.quote(f"{folder.path}-again")
    settings, budget = shlex.quote(str(folder.config)), 2 * config.search.budget
    found = [
        ("search again, from the same configuration", f"aebnas-bo run --config {settings} --out {again}"),
        ("resume this study", f"aebnas-bo run --out {path} --resume --budget {budget}"),
    ]
    needed = given_objects(config)
    if needed:
        arguments = ", ".join([repr(str(folder.path)), *(f"{name}=..." for name in needed)])
        found = [("resume this study in Python", f"aebnas_bo.Study.open({arguments}).run(budget={budget})")]
    if contents.networks is not None and contents.networks.chosen:
        key = contents.networks.chosen[0].observed.key
        in_python = f"aebnas_bo.Study.open({str(folder.path)!r}, train=...).train({key!r})"
        command = in_python if "train" in needed else f"aebnas-bo train {path} --select {key}"
        found.append(("train a network fully", command))
    return [*found, ("write this page again", f"aebnas-bo report {path}")]


def _read(name: str) -> str:
    return files("aebnas_bo.report").joinpath(name).read_text(encoding="utf-8")


def _policy(scripts: Iterable[str]) -> str:
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{value}'" for value in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; "
        "form-action 'none'"
    )


def script_json(json: str) -> Markup:
    """Escape JSON for use in a script element; its strings keep their values."""
    for character, escaped in UNSAFE_IN_SCRIPTS.items():
        json = json.replace(character, escaped)
    return Markup(json)
