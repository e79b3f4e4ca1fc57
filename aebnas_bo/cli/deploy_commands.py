"""The sub-commands that turn a point on the front into a network that runs, and those that time networks."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from aebnas_bo.cli.run_command import (
    DeviceOption,
    JsonOption,
    QuietOption,
    SettingsOption,
    all_settings,
    reported_errors,
)

if TYPE_CHECKING:
    from aebnas_bo.deploy.description import NetworkDescription

WIDTH = 140  # of tables that go into a file or a pipe

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a search.")]
SelectOption = Annotated[
    str,
    typer.Option(
        "--select",
        help="knee, best-accuracy, macs<=X (millions), latency<=X (milliseconds), accuracy>=Y (percent) or a network's "
        "key.",
    ),
]


def train(
    run: RunArgument,
    selection: SelectOption = "knee",
    shortlist: Annotated[
        int | None,
        typer.Option(
            min=2,
            metavar="N",
            help="First train the N most promising networks for a short time (shortlist.rungs), then the best of them "
            "to the end.",
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs, in place of final_training.epochs.")] = None,
    seeds: Annotated[str | None, typer.Option(help="Seeds, such as 0-2; by default the study's own.")] = None,
    tune_for: Annotated[
        str | None,
        typer.Option(
            help="macs<=X (millions) or accuracy>=Y (percent): what thresholds are tuned for; by default what the "
            "network is chosen by. Of a network that is trained, thresholds alone change.",
        ),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Train again what was trained with the same settings.")
    ] = False,
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
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train a network of a finished search to the end, tune its thresholds and measure it on the test images."""
    flags = {"final_training.epochs": epochs, "final_training.plain_baseline": plain, "device": device}
    options = all_settings(settings, flags)
    with reported_errors(as_json, quiet, way_on="The same command goes on.") as command:
        from aebnas_bo.analysis.selection import parse_selection
        from aebnas_bo.deploy.class_outputs import write_confusion_csv
        from aebnas_bo.deploy.network_training import choose_candidate, final_recipe, train_candidate, training_of
        from aebnas_bo.deploy.operating_points import parse_goal
        from aebnas_bo.deploy.plain_baseline import PlainGround, compare_with_plain, comparison_text, train_baselines
        from aebnas_bo.deploy.trained_points import draw_front
        from aebnas_bo.deploy.trained_table import write_outputs_csv
        from aebnas_bo.deploy.trainings import plain_networks, trained_networks, training_folder
        from aebnas_bo.preparation.progress import RunProgress
        from aebnas_bo.seeding import parse_seeds
        from aebnas_bo.shortlist.shortlist_study import check_shortlist, shortlisted
        from aebnas_bo.shortlist.shortlist_table import judgement_row, print_shortlist
        from aebnas_bo.storage.run_folder import RunFolder

        goal = None if tune_for is None else parse_goal(tune_for)
        check_shortlist(shortlist, parse_selection(selection))
        candidate = choose_candidate(RunFolder(run), parse_selection(selection), options, goal)
        wanted = [candidate.config.seed] if seeds is None else parse_seeds(seeds)
        with RunProgress(command.stderr, quiet, command.stop.check) as progress:
            candidate, judgements = shortlisted(candidate, shortlist, progress)
            networks = [train_candidate(candidate, seed, again, progress) for seed in wanted]
            ground = PlainGround(candidate.folder, candidate.config, candidate.splits)
            has_plain = candidate.config.final_training.plain_baseline
            plains = train_baselines(ground, networks, progress=progress, is_again=again) if has_plain else []
        comparison = compare_with_plain(networks, plains) if plains else None
        if known := [one.description for one in plain_networks(candidate.folder)]:
            write_outputs_csv(candidate.folder.trained / "plain.csv", known)
        every = [one.description for one in trained_networks(candidate.folder, candidate.trial.key)]
        write_outputs_csv(candidate.folder.trained / f"{candidate.trial.key}.csv", every)
        write_confusion_csv(candidate.folder.trained / f"{candidate.trial.key}-confusion.csv", every)
        draw_front(candidate.folder)
        folders = [str(training_folder(candidate.folder, training_of(candidate, seed))) for seed in wanted]
        if as_json:
            found = [json.loads(network.to_json()) for network in networks]
            rows = [judgement_row(one) for one in judgements]
            beside = [json.loads(network.to_json()) for network in plains]
            against = None if comparison is None else asdict(comparison)
            document = {"folders": folders, "networks": found, "plain_networks": beside, "against_plain": against}
            sys.stdout.write(json.dumps({**document, "shortlist": rows}) + "\n")
            return
        stdout = _stdout()
        if judgements:
            print_shortlist(stdout, judgements)
        _print_training(networks, plains, every)
        stdout.print(f"trained networks are in {', '.join(folders)}", highlight=False, soft_wrap=True)
        if comparison is not None:
            text = comparison_text(comparison, final_recipe(candidate.config, candidate.space))
            stdout.print(text, highlight=False, soft_wrap=True)


def _print_training(
    networks: Sequence[NetworkDescription], plains: Sequence[NetworkDescription], every: Sequence[NetworkDescription]
) -> None:
    """Print the tables of trained networks.

    Args:
        networks: One architecture, trained by one recipe with one seed or several.
        plains: Plain networks trained by the same recipe.
        every: All trainings of the architecture.
    """
    from aebnas_bo.deploy.class_outputs import class_table, confusions_line, reference_text
    from aebnas_bo.deploy.seen_figures import looks_text
    from aebnas_bo.deploy.trained_table import other_recipes, outputs_table, training_table

    stdout = _stdout()
    stdout.print(training_table(networks, plains))
    first, answers = networks[0], networks[0].test.by_class
    if answers is not None:
        stdout.print(reference_text(answers, first.class_names), highlight=False, soft_wrap=True, markup=False)
    stdout.print(outputs_table(first))
    if answers is not None:
        stdout.print(class_table(first, answers))
        stdout.print(confusions_line(answers, first.class_names), highlight=False, soft_wrap=True, markup=False)
    stdout.print(looks_text(first.earlier_test_looks or 0), highlight=False, soft_wrap=True)
    for line in other_recipes(every, first.origin.recipe):
        stdout.print(line, highlight=False, soft_wrap=True)


def _stdout() -> Console:
    stdout = Console()
    return stdout if stdout.is_terminal else Console(width=WIDTH)


def export(
    run: RunArgument,
    selection: SelectOption = "knee",
    formats: Annotated[
        list[str] | None,
        typer.Option("--format", help="torch, onnx, onnx-segments or torch-export; repeatable. Without it: torch."),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Which training; else the best on validation images.")] = None,
    recipe: Annotated[
        str | None, typer.Option(help="Recipe of the training, as train shows it; else the best on validation images.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder, one below it per format; by default in RUN/exported, named as in RUN/trained."),
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write a trained network to files that run without the run folder."""
    with reported_errors(as_json, quiet):
        from aebnas_bo.analysis.selection import parse_selection
        from aebnas_bo.deploy.export import check_formats, export_network, trained_network
        from aebnas_bo.storage.run_folder import RunFolder

        wanted = check_formats(formats or ["torch"])
        folder = RunFolder(run)
        source = trained_network(folder, parse_selection(selection), seed, recipe=recipe)
        target = out or folder.path / "exported" / source.parent.name
        written = {name: str(export_network(source, name, target / name)) for name in wanted}
        if as_json:
            sys.stdout.write(json.dumps({"network": str(source), "exported": written}) + "\n")
            return
        for name, path in written.items():
            Console().print(f"{name}: {path}", highlight=False, soft_wrap=True)


def predict(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Exported network: a file or its folder.")],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGES...", help="Pictures, or folders of pictures.")],
    device: Annotated[Literal["cpu", "cuda"], typer.Option(help="Where a .safetensors network runs.")] = "cpu",
    trust: Annotated[
        bool, typer.Option("--trust", help="Load a .pt2 file, which can run code of the person who made it.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Classify pictures with an exported network."""
    with reported_errors(as_json, quiet=False):
        from aebnas_bo.deploy.prediction import picture_files, prediction_rows, prediction_table
        from aebnas_bo.deploy.runtime import load

        network = load(file, device, trust=trust)
        files = picture_files(images)
        rows = prediction_rows(network, files)
        if as_json:
            sys.stdout.write(json.dumps({"network": network.description.key, "predictions": rows}) + "\n")
            return
        stdout = _stdout()
        stdout.print(prediction_table(network, rows))


def latency(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Exported network, format torch: a file or its folder.")],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGES...", help="Pictures, or folders of pictures.")],
    batch_sizes: Annotated[str, typer.Option(help="Images run together, separated by commas.")] = "1,64",
    batches: Annotated[int, typer.Option(min=1, help="Batches timed of each variant.")] = 100,
    threads: Annotated[int, typer.Option(min=1, help="Threads of PyTorch and of onnxruntime.")] = 1,
    out: Annotated[Path | None, typer.Option(help="CSV file to write.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Time an exported network on real pictures: early exits beside none, in PyTorch and, if it is there, ONNX."""
    with reported_errors(as_json, quiet=False):
        from aebnas_bo.deploy.latency_measurement import measure_file, parse_batch_sizes
        from aebnas_bo.deploy.trained_table import latency_table, write_latency_csv

        sizes = parse_batch_sizes(batch_sizes)
        rows = measure_file(file, images, sizes, batches, threads)
        if out is not None:
            out.parent.mkdir(parents=True, exist_ok=True)
            write_latency_csv(out, rows)
        if as_json:
            sys.stdout.write(json.dumps({"latencies": [asdict(row) for row in rows]}) + "\n")
            return
        stdout = _stdout()
        stdout.print(latency_table(rows))


def latency_table(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML file with the space.")],
    out: Annotated[Path, typer.Option(help="JSON file to write, for estimation.latency_table.")],
    settings: SettingsOption = None,
    device: DeviceOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Time every part of a space's networks on this machine, for searches with latency_ms among their objectives."""
    with reported_errors(as_json, quiet, way_on="The same command starts over.") as command:
        from aebnas_bo.config.loading import load_config
        from aebnas_bo.data.datasets import load_splits
        from aebnas_bo.preparation.latency_preparation import make_folder_of, measure_table, write_table
        from aebnas_bo.preparation.progress import RunProgress
        from aebnas_bo.preparation.supernet_preparation import resolve_device
        from aebnas_bo.space.network_space import NetworkSpace

        loaded = load_config(config, all_settings(settings, {"device": device}))
        make_folder_of(out)
        place, splits = resolve_device(loaded.device), load_splits(loaded.data)
        space = NetworkSpace(loaded.space, splits.in_channels, splits.num_classes)
        with RunProgress(command.stderr, quiet, command.stop.check) as progress:
            table = measure_table(loaded, space, progress, place)
        write_table(out, table)
        if as_json:
            sys.stdout.write(json.dumps({"table": str(out), "parts": len(table.nanoseconds)}) + "\n")
            return
        text = f"{len(table.nanoseconds)} parts timed on {table.machine}, {table.device}, {table.num_threads} threads"
        Console().print(f"{text}: {out}", highlight=False, soft_wrap=True)
