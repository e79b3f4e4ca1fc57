"""Trained networks of a run folder, including the short list, and the figure that shows them with the front."""

from __future__ import annotations

from aebnas_bo.analysis.plots import plot_pareto_front, plot_trained_networks
from aebnas_bo.analysis.trained_point import TrainedPoint, TrainingKind
from aebnas_bo.config.loading import parse_config
from aebnas_bo.deploy.operating_points import OPERATING_POINTS_FILE, read_curve
from aebnas_bo.deploy.shortlist_file import read_shortlist
from aebnas_bo.deploy.training_folders import TrainedNetwork, plain_networks, trained_networks
from aebnas_bo.search.trial_store import TrialStore
from aebnas_bo.space.plain_family import plain_name
from aebnas_bo.storage.count_text import counted
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.storage.sealed_json import read_sealed

PLAN_WAY_OUT = "restore it from a copy, or start another run folder"


def trained_points(folder: RunFolder) -> list[TrainedPoint]:
    """Return the points of a run's trained networks, measured on the validation images.

    Args:
        folder: The run folder.

    Returns:
        Short trainings first, then fully trained networks, then plain ones.

    Raises:
        CorruptStateError: If the table of the short list or of operating points is damaged.
        NetworkFileError: If the file of a network is damaged.
    """
    final = [_point("final", one, f"network {one.description.key}") for one in trained_networks(folder)]
    plain = [_point("plain", one, plain_name(one.description.architecture)) for one in plain_networks(folder)]
    return [*read_shortlist(folder.shortlist), *final, *plain]


def had_brief_search(folder: RunFolder) -> bool:
    """Return whether the time budget of a run was too short for estimates that rank networks.

    Args:
        folder: The run folder.

    Raises:
        CorruptStateError: If the time plan is damaged.
    """
    return folder.time_plan.exists() and bool(read_sealed(folder.time_plan, PLAN_WAY_OUT).get("is_brief"))


def draw_front(folder: RunFolder) -> None:
    """Redraw the figure of a run's front with its trained networks, if there are any.

    After a brief search it shows trained networks only: the estimates do not rank networks.

    Args:
        folder: The run folder.

    Raises:
        CorruptStateError: If a file of the run is damaged.
        NetworkFileError: If the file of a network is damaged.
    """
    trained = trained_points(folder)
    if not trained:
        return
    if had_brief_search(folder):
        plot_trained_networks(folder.front_figure, trained)
        return
    with TrialStore.open_read_only(folder.study) as store:
        study, trials = store.study, store.trials()
    design = parse_config(study.config, str(folder.study)).search.design_trials
    plot_pareto_front(folder.front_figure, trials, study.objectives, design_trials=design, trained=trained)


def _point(kind: TrainingKind, trained: TrainedNetwork, name: str) -> TrainedPoint:
    network = trained.description
    epochs, on_validation = network.origin.epochs, network.validation
    return TrainedPoint(
        network.key,
        kind,
        epochs,
        on_validation.accuracy,
        on_validation.average_macs,
        f"{name}, seed {network.origin.seed}, {counted(epochs, 'epoch')}",
        read_curve(trained.folder / OPERATING_POINTS_FILE),
    )
