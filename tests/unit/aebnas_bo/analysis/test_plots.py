from pathlib import Path

import matplotlib as mpl
import pytest
from PIL import Image

from aebnas_bo.analysis.plots import plot_hypervolume, plot_pareto_front


@pytest.mark.parametrize("plot", [plot_hypervolume, plot_pareto_front])
@pytest.mark.parametrize("count", [0, 1, 4, 7])
def test_figures_are_drawn_for_any_number_of_trials(plot, count, tmp_path: Path, trials, objectives) -> None:
    before = dict(mpl.rcParams)
    plot(tmp_path / "figure.png", trials[:count], objectives, design_trials=2)
    with Image.open(tmp_path / "figure.png") as image:
        assert image.size == (1600, 1000)
        assert len(image.convert("RGB").getcolors(10**6) or []) > 10  # something stands on it
    assert dict(mpl.rcParams) == before
    assert [path.name for path in tmp_path.iterdir()] == ["figure.png"]


def test_only_failed_trials_say_so(tmp_path: Path, trials, objectives) -> None:
    plot_pareto_front(tmp_path / "figure.png", [trials[3]], objectives, design_trials=2)
    assert (tmp_path / "figure.png").exists()
