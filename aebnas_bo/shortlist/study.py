"""The short list of a run: chosen, trained for a short time and judged; finished trainings are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aebnas_bo.config import Config
from aebnas_bo.data.splits import Splits
from aebnas_bo.deploy.standalone import StandaloneNetworks
from aebnas_bo.early_exit.policy import ExitTable
from aebnas_bo.early_exit.threshold_tuning import TuningGoal
from aebnas_bo.progress import RunProgress
from aebnas_bo.run_folder import RunFolder
from aebnas_bo.search.trial import Trial
from aebnas_bo.shortlist.contenders import Contender, choose_contenders
from aebnas_bo.shortlist.outputs import SHORTLIST_FILE, write_shortlist
from aebnas_bo.shortlist.rungs import Judgement, climb
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.supernet_preparation import resolve_device
from aebnas_bo.training.loop import EpochReport


@dataclass(frozen=True)
class Ground:
    """What all short trainings of a run share.

    Args:
        folder: The run folder; tables are kept in `shortlist/`.
        config: Its configuration: rungs, recipe, seed.
        space: Its space.
        splits: Its images.
    """

    folder: RunFolder
    config: Config
    space: NetworkSpace
    splits: Splits


def run_shortlist(
    ground: Ground, trials: Sequence[Trial], goals: Sequence[TuningGoal], progress: RunProgress
) -> tuple[list[Contender], list[Judgement]]:
    """Train the short list of a search and write `shortlist/shortlist.csv`.

    Args:
        ground: Where, what and how.
        trials: The trials of the search.
        goals: What networks are wanted for.
        progress: Shows the epochs.

    Returns:
        The winner for each goal, and all judgements.

    Raises:
        UsageError: If no trial was completed.
        TrainingDivergedError: If a training fails for good.
    """
    rungs, place = ground.config.shortlist.rungs, ground.folder.shortlist
    contenders = choose_contenders(trials, ground.space, goals, rungs[0][0])

    def train(contender: Contender, epochs: int) -> ExitTable:
        return _short_training(ground, contender, epochs, progress)

    winners, judgements = climb(contenders, goals, rungs, skeleton=ground.space.skeleton, train=train)
    write_shortlist(place / SHORTLIST_FILE, judgements)
    return winners, judgements


def _short_training(ground: Ground, contender: Contender, epochs: int, progress: RunProgress) -> ExitTable:
    config = ground.config
    recipe = config.final_training.model_copy(update={"epochs": epochs})
    short = config.model_copy(update={"final_training": recipe})
    folder = ground.folder.shortlist / f"{epochs}-epochs"
    networks = StandaloneNetworks(short, ground.space, ground.splits, resolve_device(config.device), folder)
    known = networks.known_table(contender.architecture)
    if known is not None:
        return known
    progress.start(f"epochs of {contender.key}", epochs)

    def show(report: EpochReport) -> None:
        progress.update(report.epoch, f"loss {report.loss:.3f}  {report.images_per_s:.0f} images/s")

    return networks.train(contender.architecture, show)
