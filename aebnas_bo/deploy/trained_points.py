"""The trained networks of a run folder, short list included, and the figure that shows them with the front."""

from __future__ import annotations

from aebnas_bo.analysis.plots import plot_pareto_front
from aebnas_bo.analysis.trained_point import TrainedPoint
from aebnas_bo.config_loading import parse_config
from aebnas_bo.deploy.description import NetworkDescription
from aebnas_bo.deploy.shortlist_file import read_shortlist
from aebnas_bo.deploy.trainings import plain_networks, trained_networks
from aebnas_bo.run_folder import RunFolder
from aebnas_bo.search.store import TrialStore


def trained_points(folder: RunFolder) -> list[TrainedPoint]:
    """Return what is known of a run's trained networks on the validation images: short list, to the end, plain.

    Raises:
        CorruptStateError: If the table of the short list is damaged.
        NetworkFileError: If the file of a network is damaged.
    """
    final = [_point(one.description, is_plain=False) for one in trained_networks(folder)]
    plain = [_point(one.description, is_plain=True) for one in plain_networks(folder)]
    return [*read_shortlist(folder.shortlist), *final, *plain]


def _point(network: NetworkDescription, *, is_plain: bool) -> TrainedPoint:
    figures, epochs = network.validation, network.origin.epochs
    return TrainedPoint(network.key, epochs, True, figures.accuracy, figures.average_macs, is_plain)


def draw_front(folder: RunFolder) -> None:
    """Draw `pareto_front.png` of a run again, with all networks that are trained by now.

    Raises:
        CorruptStateError: If a file of the run is damaged.
        NetworkFileError: If the file of a network is damaged.
    """
    with TrialStore.open_read_only(folder.study) as store:
        study, trials = store.study, store.trials()
    design = parse_config(study.config, str(folder.study)).search.design_trials
    plot_pareto_front(folder.front_figure, trials, study.objectives, design, trained=trained_points(folder))
