"""Method `plain` of comparisons: separately trained plain networks of five widths up to the budget."""

from __future__ import annotations

import numpy as np

from aebnas_bo.analysis.selection import within_budget
from aebnas_bo.config.loading import dump_config
from aebnas_bo.deploy.description import NetworkDescription
from aebnas_bo.deploy.plain_baseline import PlainContext, train_plain
from aebnas_bo.experiments.comparison.chosen_network import ChosenNetwork
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.preparation.progress import RunProgress
from aebnas_bo.space.macs import millions
from aebnas_bo.storage.atomic_files import write_text
from aebnas_bo.storage.count_text import counted
from aebnas_bo.storage.run_folder import RunFolder

NUM_WIDTHS = 5


def plain_choice(problem: Problem, folder: RunFolder, budget: float, *, progress: RunProgress) -> ChosenNetwork:
    """Train plain networks of several widths and return the best one; finished trainings are loaded.

    Args:
        problem: The images and the configuration of the method.
        folder: Run folder for the trained networks.
        budget: Average MACs in millions.
        progress: Shows the trainings.

    Returns:
        The network with the highest validation accuracy within the budget or, if there is none, the cheapest.

    Raises:
        AebnasError: If training fails.
    """
    folder.create()
    write_text(folder.config, dump_config(problem.config))
    context = PlainContext(folder, problem)
    least, _ = problem.space.backbone_macs
    widths = plain_widths(context, millions(least), budget)
    trained = [train_plain(context, width, problem.config.seed, progress=progress) for width in widths]
    chosen = within_budget(trained, budget, figures=lambda one: (one.validation.accuracy, one.validation.average_macs))
    return _chosen(chosen)


def plain_widths(context: PlainContext, least: float, budget: float) -> list[int]:
    """Return widths whose MACs are spread evenly, on a logarithmic scale, from the space's cheapest to a budget.

    Args:
        context: The images.
        least: MACs of the cheapest network of the space, in millions.
        budget: Average MACs in millions.

    Returns:
        `NUM_WIDTHS` widths, ascending; fewer if rounding makes some equal. None costs more than the budget, except
        width 1.
    """
    widths = {context.width_of(float(macs)) for macs in np.geomspace(min(least, budget), budget, NUM_WIDTHS)}
    widths = {width - (width > 1 and context.macs_of(width) > budget) for width in widths}  # nearest may lie above
    return sorted(widths)


def _chosen(network: NetworkDescription) -> ChosenNetwork:
    test = network.test
    return ChosenNetwork(
        key=network.key,
        validation_accuracy=network.validation.accuracy,
        test_accuracy=test.accuracy,
        average_macs=test.average_macs,
        average_macs_without_passed=test.average_macs_without_passed,
        worst_case_macs=test.worst_case_macs,
        exits=0,
        exit_rates=(1.0,),
        weights=f"trained alone, {counted(network.origin.epochs, 'epoch')}",
    )
