"""Trained networks among the estimates of a search: marks in the figures of its front."""

from __future__ import annotations

from aebnas_bo.analysis.plots import TrainedMark, plot_pareto_front
from aebnas_bo.config_loading import parse_config
from aebnas_bo.deploy.description import NetworkDescription
from aebnas_bo.deploy.plain_baseline import plain_width
from aebnas_bo.deploy.trainings import plain_networks, trained_networks
from aebnas_bo.run_folder import RunFolder
from aebnas_bo.search.store import TrialStore


def trained_marks(folder: RunFolder) -> tuple[TrainedMark, ...]:
    """Return a mark for each trained network of a run; none where no plain network was trained.

    Args:
        folder: The run folder.

    Raises:
        NetworkFileError: If the file of a trained network is damaged.
    """
    plain = [one.description for one in plain_networks(folder)]
    if not plain:
        return ()
    searched = [_mark(one.description, f"network {one.description.key}") for one in trained_networks(folder)]
    return (
        *searched,
        *(_mark(one, f"plain network of width {plain_width(one.architecture)}", is_plain=True) for one in plain),
    )


def draw_front(folder: RunFolder) -> None:
    """Draw the figure of a run's front again where plain networks were trained: with all trained networks.

    Args:
        folder: The run folder.

    Raises:
        NetworkFileError: If the file of a trained network is damaged.
    """
    marks = trained_marks(folder)
    if not marks:
        return
    with TrialStore.open_read_only(folder.study) as store:
        trials, record = store.trials(), store.study
    design = parse_config(record.config, str(folder.study)).search.design_trials
    plot_pareto_front(folder.front_figure, trials, record.objectives, design, trained=marks)


def _mark(network: NetworkDescription, name: str, *, is_plain: bool = False) -> TrainedMark:
    text = f"{name}, seed {network.origin.seed}, {network.origin.epochs} epochs"
    return TrainedMark(is_plain, network.validation.accuracy, network.validation.average_macs, text)
