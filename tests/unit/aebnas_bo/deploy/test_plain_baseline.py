import math
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest
import torch
from rich.console import Console

from aebnas_bo.analysis.selection import Selection
from aebnas_bo.deploy import plain_baseline
from aebnas_bo.deploy.description import NetworkDescription
from aebnas_bo.deploy.exported_files import NETWORK_FILE
from aebnas_bo.deploy.looks_at_test_images import known_looks
from aebnas_bo.deploy.network_file import load_network
from aebnas_bo.deploy.plain_baseline import (
    PlainComparison,
    PlainContext,
    compare_with_plain,
    comparison_text,
    plain_recipe,
    plain_training_of,
    teacher_macs,
    train_baselines,
    train_plain,
)
from aebnas_bo.deploy.training_folders import plain_networks, trained_networks, training_folder
from aebnas_bo.deploy.training_pipeline import choose_candidate, train_candidate
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.preparation.progress import RunProgress
from aebnas_bo.space.plain_family import SHALLOW_BELOW, plain_width
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.training import training_loop as loop
from aebnas_bo.training.settings import FinalTrainingConfig, TeacherConfig

LONE: dict[str, object] = {"start": "scratch", "teacher": None}
TAUGHT: dict[str, object] = {"start": "supernet", "teacher": TeacherConfig(source="supernet")}


def progress() -> RunProgress:
    return RunProgress(Console(stderr=True), quiet=True)


def context_of(folder: RunFolder, *settings: str) -> PlainContext:
    candidate = choose_candidate(folder, Selection("knee"), settings)
    return PlainContext(folder, candidate.problem)


@pytest.fixture
def context(own_run: RunFolder) -> PlainContext:
    return context_of(own_run)


def changed(network: NetworkDescription, test: float, macs: float = 1.0, seed: int = 0) -> NetworkDescription:
    figures = {"test": {"accuracy": test}, "validation": {"average_macs": macs}, "origin": {"seed": seed}}
    parts = {name: getattr(network, name).model_copy(update=update) for name, update in figures.items()}
    return network.model_copy(update=parts)


def test_a_plain_network_is_trained_once_and_kept(context: PlainContext, monkeypatch) -> None:
    first = train_plain(context, 3, 1, progress=progress())
    folder = context.folder.trained / "plain-3-seed1"
    assert load_network(folder / NETWORK_FILE)[1] == first
    assert (plain_width(first.architecture), first.estimated_accuracy) == (3, None)
    assert (first.origin.seed, first.origin.epochs, first.origin.start) == (1, 2, "scratch")
    assert first.validation.average_macs == first.test.average_macs == pytest.approx(context.macs_of(3))
    assert first.test.images == len(context.problem.splits.test)
    assert (
        first.origin.train_images
        == len(context.problem.for_final_training.splits.train)
        > len(context.problem.splits.train)
    )
    assert (
        first.validation.images
        == len(context.problem.for_final_training.splits.validation)
        < len(context.problem.splits.validation)
    )
    monkeypatch.setattr(plain_baseline, "train_from_scratch", None)  # would fail if it were called
    assert train_plain(context, 3, 1, progress=progress()) == first
    with pytest.raises(TypeError):
        train_plain(context, 3, 1, progress=progress(), is_again=True)


def test_plain_networks_are_no_networks_of_the_search(context: PlainContext) -> None:
    train_plain(context, 2, 0, progress=progress())
    assert trained_networks(context.folder) == []
    assert [one.folder.name for one in plain_networks(context.folder)] == ["plain-2-seed0"]
    assert known_looks(context.folder) == []


def test_an_interrupted_training_goes_on(context: PlainContext, monkeypatch) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    whole = train_plain(context, 2, 0, progress=progress())
    path = context.folder.trained / "plain-2-seed0" / NETWORK_FILE
    expected = load_network(path)[0].state_dict()
    path.unlink()

    def stop() -> None:
        if path.with_name("training.safetensors").exists():  # the first epoch is over
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_plain(context, 2, 0, progress=RunProgress(Console(stderr=True), quiet=True, check=stop))
    assert path.with_name("training.safetensors").exists()
    assert train_plain(context, 2, 0, progress=progress()) == whole
    found = load_network(path)[0].state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert not path.with_name("training.safetensors").exists()


def test_another_recipe_has_a_folder_of_its_own(context: PlainContext) -> None:
    first = train_plain(context, 2, 0, progress=progress())
    other = train_plain(context_of(context.folder, "final_training.epochs=1"), 2, 0, progress=progress())
    assert (first.origin.epochs, other.origin.epochs) == (2, 1)
    names = [one.folder.name for one in plain_networks(context.folder)]
    assert names == ["plain-2-seed0", f"plain-2-seed0-{other.origin.recipe}"]


def test_what_a_plain_network_has_not_makes_no_other_recipe(context: PlainContext) -> None:
    settings = [
        "final_training.start=supernet",
        "final_training.teacher={source: supernet}",
        "final_training.plain_baseline=no",
    ]
    same = context_of(context.folder, *settings)
    assert plain_training_of(same, 4, 0) == plain_training_of(context, 4, 0)
    longer = context_of(context.folder, "final_training.weight_decay=0.5")
    assert plain_training_of(longer, 4, 0).recipe != plain_training_of(context, 4, 0).recipe
    fingerprints = {plain_training_of(context, width, seed).fingerprint for width in (4, 5) for seed in (0, 1)}
    assert len(fingerprints) == 4


def _teacher_macs(context: PlainContext, width: int) -> float:
    """Return the MACs of a narrow teacher in millions."""
    return context.for_teacher(0.0001).macs_of(width)


def test_a_larger_plain_network_teaches_and_is_trained_once(context: PlainContext, capsys) -> None:
    alone = train_plain(context, 2, 0, progress=progress())
    own = context_of(context.folder, f"final_training.teacher={{macs: {_teacher_macs(context, 5)}, epochs: 1}}")
    shown = RunProgress(Console(stderr=True, width=200), quiet=False)
    taught = train_plain(own, 2, 0, progress=shown)
    teacher, *_ = [one for one in plain_networks(context.folder) if one.folder.name.startswith("plain-5")]
    assert (teacher.description.origin.epochs, taught.origin.epochs) == (1, 2)
    text = capsys.readouterr().err
    assert f"{teacher.description.validation.accuracy:.1f} % validation accuracy" in text
    one, other = (
        load_network(training_folder(context.folder, plain_training_of(some, 2, 0)) / NETWORK_FILE)[0].state_dict()
        for some in (context, own)
    )
    assert not all(torch.equal(one[name], other[name]) for name in one)
    assert alone.origin.recipe != taught.origin.recipe
    written = (teacher.folder / NETWORK_FILE).stat().st_mtime_ns
    train_plain(own, 3, 0, progress=shown)
    assert (teacher.folder / NETWORK_FILE).stat().st_mtime_ns == written


def test_teachers_have_a_fourth_stage_and_are_deep_if_wide(context: PlainContext, capsys) -> None:
    narrow, wide = context.for_teacher(context.macs_of(5)), context.for_teacher(context.macs_of(40))
    assert [[len(stage.blocks) for stage in one.network(20)[0].stages] for one in (narrow, wide)] == [
        [2, 2, 1, 1],
        [2, 3, 2, 1],
    ]
    width = int(SHALLOW_BELOW)
    least = wide.macs_of(width)
    assert [context.for_teacher(macs).depths for macs in (0.9 * least, least)] == [narrow.depths, wide.depths]
    own = context_of(context.folder, f"final_training.teacher={{macs: {least}, epochs: 1}}", "final_training.epochs=1")
    train_plain(own, 9, 0, progress=RunProgress(Console(stderr=True, width=200), quiet=False))
    assert any(one.folder.name.startswith(f"plain-{width}-2321-seed0") for one in plain_networks(context.folder))
    assert f"teacher: a plain network of {least:.3g} M MACs" in capsys.readouterr().err


def test_teachers_of_large_images_have_the_largest_resolution_at_which_their_stem_is_wide_enough(
    context: PlainContext,
) -> None:
    large = SimpleNamespace(image_size=128, in_channels=3, num_classes=10)
    context = replace(context, problem=cast("Problem", SimpleNamespace(splits=large)))

    def teacher(macs: float) -> tuple[int, int]:
        found = context.for_teacher(macs)
        return found.network(found.width_of(macs))[0].resolution, found.width_of(macs)

    assert teacher(2.0) == (128, 7)
    resolution, width = teacher(0.6)
    assert resolution in {64, 96}
    assert width >= 6
    at_next = replace(context.for_teacher(0.6), resolution={64: 96, 96: 128}[resolution])
    assert at_next.width_of(0.6) < 6


def test_a_plain_network_of_a_lower_resolution_is_named_by_it_and_read_again(context: PlainContext) -> None:
    low = replace(context, resolution=6)
    trained = [train_plain(one, 2, 0, progress=progress()) for one in (context, low, low)]
    assert [one.architecture.resolution for one in trained] == [8, 6, 6]
    assert [one.folder.name for one in plain_networks(context.folder)] == ["plain-2-seed0", "plain-2-6px-seed0"]


def test_a_network_is_taught_by_none_smaller_than_itself(context: PlainContext, capsys) -> None:
    own = context_of(context.folder, f"final_training.teacher={{macs: {_teacher_macs(context, 1)}}}")
    shown = RunProgress(Console(stderr=True, width=200), quiet=False)
    train_plain(own, 2, 0, progress=shown)
    assert "is not larger than the network" in capsys.readouterr().err
    assert [one.folder.name for one in plain_networks(context.folder)] == ["plain-2-seed0"]


def test_a_network_is_taught_by_none_that_is_much_larger(context: PlainContext, capsys) -> None:
    own = context_of(context.folder, f"final_training.teacher={{macs: {12 * context.macs_of(2)}}}")
    train_plain(own, 2, 0, progress=RunProgress(Console(stderr=True, width=200), quiet=False))
    assert "no teacher: one of" in capsys.readouterr().err
    assert [one.folder.name for one in plain_networks(context.folder)] == ["plain-2-seed0"]


def test_a_teacher_is_twice_the_limit_or_twice_the_network(context: PlainContext) -> None:
    config = context.problem.config
    limited = config.model_copy(update={"search": config.search.model_copy(update={"max_average_macs": 0.4})})
    assert (teacher_macs(config, 0.3), teacher_macs(limited, 0.3)) == (0.6, 0.8)


def test_plain_recipe_keeps_all_but_what_exits_and_supernets_need(context: PlainContext) -> None:
    config, given = context.problem.config, context.problem.config.final_training
    weights = (1.0,) * (len(config.space.exits) + 1)
    shaped = given.model_copy(
        update={**TAUGHT, "exit_weights": weights, "exit_distillation": True, "weight_decay": 0.3}
    )
    assert plain_recipe(config.model_copy(update={"final_training": shaped})) == given.model_copy(
        update={**LONE, "weight_decay": 0.3}
    )


def test_learned_confidences_are_not_asked_of_a_plain_network(context: PlainContext) -> None:
    learned = context.problem.config.estimation.model_copy(update={"confidence": "learned"})
    config = context.problem.config.model_copy(update={"estimation": learned})
    network = train_plain(replace(context, problem=context.problem.with_config(config)), 2, 0, progress=progress())
    assert network.confidence == "score_margin"


def test_baselines_have_the_seed_and_nearly_the_macs_of_each_network(context: PlainContext) -> None:
    candidate = choose_candidate(context.folder, Selection("knee"))
    networks = [train_candidate(candidate, seed, is_again=False, progress=progress()) for seed in (0, 3)]
    plains = train_baselines(context, networks, progress=progress())
    assert [one.origin.seed for one in plains] == [0, 3]
    for network, plain in zip(networks, plains, strict=True):
        width = plain_width(plain.architecture)
        ratios = {
            near: abs(math.log(context.macs_of(near) / network.validation.average_macs))
            for near in (width - 1, width, width + 1)
            if near > 0
        }
        assert min(ratios, key=lambda near: ratios[near]) == width
    comparison = compare_with_plain(networks, plains)
    assert comparison.seeds == (0, 3)


def test_differences_are_paired_seed_by_seed(make_network) -> None:
    network = make_network()[1]
    ours = [changed(network, 80.0, 2.0, 0), changed(network, 84.0, 2.2, 1), changed(network, 85.0, 2.1, 2)]
    plains = [changed(network, 79.0, 2.1, 0), changed(network, 81.0, 2.1, 1), changed(network, 80.0, 2.1, 2)]
    found = compare_with_plain(ours, plains)
    assert found.difference == pytest.approx(3.0)  # of 1, 3 and 5, whose standard deviation is 2
    assert found.standard_error == pytest.approx(2.0 / 3.0**0.5)
    assert (found.average_macs, found.plain_macs) == (pytest.approx(2.1), pytest.approx(2.1))
    assert compare_with_plain(ours[:1], plains[:1]).standard_error is None


@pytest.mark.parametrize(
    ("comparison", "recipe", "expected"),
    [
        (
            PlainComparison(3.14, None, (0,), 0.2, 0.197),
            LONE,
            "3.1 points above a plain network of equal average MACs (0.197 M; this one 0.2 M), trained by the same "
            "recipe (one seed)",
        ),
        (
            PlainComparison(-1.5, 0.26, (0, 1, 2), 0.1, 0.12),
            TAUGHT,
            "1.5 ± 0.3 points below a plain network of the nearest average MACs (0.12 M; this one 0.1 M), trained by "
            "the same recipe, but from scratch and without a teacher (3 seeds, standard error)",
        ),
    ],
)
def test_comparison_text_names_the_difference_and_both_costs(comparison, recipe, expected) -> None:
    assert comparison_text(comparison, FinalTrainingConfig(**recipe)) == expected
