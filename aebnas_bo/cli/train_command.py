"""`aebnas-bo train`: train networks of a search fully."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from aebnas_bo.cli.options import (
    DeviceOption,
    JsonOption,
    ProcessesOption,
    QuietOption,
    RayOption,
    RunArgument,
    SelectOption,
    SettingsOption,
    TrackOption,
    WorkersOption,
    all_settings,
    execution_flags,
    track_flag,
)
from aebnas_bo.cli.reporting import reported_errors, show

if TYPE_CHECKING:
    from aebnas_bo.analysis.selection import Selection
    from aebnas_bo.deploy.description import NetworkDescription
    from aebnas_bo.storage.run_folder import RunFolder


def train(
    run: RunArgument,
    selection: SelectOption = "knee",
    shortlist: Annotated[
        int | None,
        typer.Option(
            min=2,
            metavar="N",
            help="First train the N most promising networks briefly (shortlist.rungs), then the best of them fully.",
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs; by default final_training.epochs.")] = None,
    seeds: Annotated[str | None, typer.Option(help="Seeds, such as 0-2; by default the seed of the study.")] = None,
    tune_for: Annotated[
        str | None,
        typer.Option(
            help="Goal of threshold tuning: macs<=X (millions) or accuracy>=Y (percent); by default the limit of "
            "--select. For a trained network, only its thresholds change.",
        ),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Repeat a finished training with the same settings.")] = False,
    plain: Annotated[
        bool | None,
        typer.Option(
            "--plain/--no-plain",
            help="Also train a plain network of equal average MACs by the same recipe; by default as "
            "final_training.plain_baseline says.",
        ),
    ] = None,
    settings: SettingsOption = None,
    device: DeviceOption = None,
    ray: RayOption = None,
    workers: WorkersOption = None,
    processes: ProcessesOption = None,
    track: TrackOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train a network of a finished search fully, tune its thresholds and measure it on the test images."""
    flags = {"final_training.epochs": epochs, "final_training.plain_baseline": plain, "device": device}
    shared = {"final_training.processes": processes, **execution_flags(ray, workers), **track_flag(track)}
    options = all_settings(settings, {**flags, **shared})
    with reported_errors(as_json, quiet, way_on="The same command continues.") as command:
        from aebnas_bo.seeding import parse_seeds
        from aebnas_bo.storage.run_folder import RunFolder
        from aebnas_bo.study.resuming import check_training_settings

        given_seeds = None if seeds is None else parse_seeds(seeds)
        chosen = _choose(RunFolder(run), selection, shortlist=shortlist, tune_for=tune_for)
        check_training_settings(RunFolder(run), options)

        from aebnas_bo.deploy.front_with_trained import draw_front
        from aebnas_bo.deploy.operating_points import parse_goal
        from aebnas_bo.deploy.per_class_tables import write_confusion_csv
        from aebnas_bo.deploy.plain_baseline import PlainContext, compare_with_plain, comparison_text, train_baselines
        from aebnas_bo.deploy.trained_table import write_outputs_csv
        from aebnas_bo.deploy.training_folders import plain_networks, trained_networks, training_folder
        from aebnas_bo.deploy.training_on_workers import train_seeds
        from aebnas_bo.deploy.training_pipeline import choose_candidate, final_recipe, training_of
        from aebnas_bo.shortlist.shortlist_study import shortlisted
        from aebnas_bo.shortlist.shortlist_table import print_shortlist, rung_result_row
        from aebnas_bo.tracking.watching import watching

        goal = None if tune_for is None else parse_goal(tune_for)
        candidate = choose_candidate(RunFolder(run), chosen, options, goal=goal)
        config = candidate.problem.config
        wanted = [config.seed] if given_seeds is None else given_seeds
        with command.progress() as progress, watching(config, candidate.folder) as progress.watcher:
            candidate, rung_results = shortlisted(candidate, shortlist, progress)
            networks = train_seeds(candidate, wanted, is_again=again, progress=progress)
            context = PlainContext(candidate.folder, candidate.problem)
            # Users of a given backbone compare with the backbone.
            has_plain = config.final_training.plain_baseline and candidate.problem.space.skeleton.given is None
            plains = train_baselines(context, networks, progress=progress, is_again=again) if has_plain else []
        comparison = compare_with_plain(networks, plains) if plains else None
        if known := [one.description for one in plain_networks(candidate.folder)]:
            write_outputs_csv(candidate.folder.trained / "plain.csv", known)
        every = [one.description for one in trained_networks(candidate.folder, candidate.observed.key)]
        write_outputs_csv(candidate.folder.trained / f"{candidate.observed.key}.csv", every)
        write_confusion_csv(candidate.folder.trained / f"{candidate.observed.key}-confusion.csv", every)
        draw_front(candidate.folder)
        folders = [str(training_folder(candidate.folder, training_of(candidate, seed))) for seed in wanted]

        def draw(stdout: Console) -> None:
            if rung_results:
                print_shortlist(stdout, rung_results)
            _print_training(stdout, networks, plains, every=every)
            stdout.print(f"trained networks are in {', '.join(folders)}", highlight=False, soft_wrap=True)
            if comparison is not None:
                text = comparison_text(comparison, final_recipe(candidate.problem))
                stdout.print(text, highlight=False, soft_wrap=True)

        document = {
            "folders": folders,
            "networks": [json.loads(network.to_json()) for network in networks],
            "plain_networks": [json.loads(network.to_json()) for network in plains],
            "against_plain": None if comparison is None else asdict(comparison),
            "shortlist": [rung_result_row(one) for one in rung_results],
        }
        show(document, draw, as_json=as_json)


def _choose(folder: RunFolder, selection: str, *, shortlist: int | None, tune_for: str | None) -> Selection:
    """Return what is selected once everything about it that needs no PyTorch is checked."""
    from aebnas_bo.analysis.selection import parse_selection, parse_tuned_limit
    from aebnas_bo.analysis.stored_choice import stored_choice
    from aebnas_bo.shortlist.shortlist_request import check_shortlist

    chosen = parse_selection(selection)
    check_shortlist(shortlist, chosen)
    if tune_for is not None:
        parse_tuned_limit(tune_for)
    stored_choice(folder, chosen)
    return chosen


def _print_training(
    stdout: Console,
    networks: Sequence[NetworkDescription],
    plains: Sequence[NetworkDescription],
    *,
    every: Sequence[NetworkDescription],
) -> None:
    """Print the tables of trained networks.

    Args:
        stdout: Console to print to.
        networks: One architecture, trained by one recipe with one or more seeds.
        plains: Plain networks trained by the same recipe.
        every: All trainings of the architecture.
    """
    from aebnas_bo.analysis.table_layout import print_table
    from aebnas_bo.deploy.looks_at_test_images import looks_text
    from aebnas_bo.deploy.per_class_tables import class_table, confusions_line, reference_text
    from aebnas_bo.deploy.trained_table import other_recipes, outputs_table, training_table

    print_table(stdout, training_table(networks, plains))
    first, predictions = networks[0], networks[0].test.by_class
    if predictions is not None:
        stdout.print(reference_text(predictions, first.class_names), highlight=False, soft_wrap=True, markup=False)
    print_table(stdout, outputs_table(first))
    if predictions is not None:
        print_table(stdout, class_table(first, predictions))
        stdout.print(confusions_line(predictions, first.class_names), highlight=False, soft_wrap=True, markup=False)
    for network in networks:
        if network.kept_text:
            stdout.print(f"seed {network.origin.seed} {network.kept_text}", highlight=False, soft_wrap=True)
    stdout.print(looks_text(first.earlier_test_looks or 0), highlight=False, soft_wrap=True)
    for line in other_recipes(every, first.origin.recipe):
        stdout.print(line, highlight=False, soft_wrap=True)
