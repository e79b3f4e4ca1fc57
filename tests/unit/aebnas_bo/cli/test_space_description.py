from pathlib import Path

import pytest
from rich.table import Table

from aebnas_bo.cli.space_description import describe_space
from aebnas_bo.cli.space_preset import preset_text
from aebnas_bo.space.presets import PRESETS
from tests.fitting import check_fit


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
def test_tables_of_a_space_fit_a_terminal_and_nothing_of_them_is_cut(name: str, tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(preset_text(name, None, image_size=None, max_average_macs=None))  # type: ignore[arg-type]
    tables = [part for part in describe_space(path, lists_parameters=True) if isinstance(part, Table)]
    shown = [check_fit(table) for table in tables]
    assert len(shown) == 4
    assert "inverted_residual" in shown[1]
    assert ("depthwise_separable" in shown[2]) == (name != "aebnas")
