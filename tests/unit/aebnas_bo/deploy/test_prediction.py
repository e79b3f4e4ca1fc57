from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from aebnas_bo.deploy import load
from aebnas_bo.deploy.exported_files import picture_files
from aebnas_bo.deploy.network_file import save_network
from aebnas_bo.deploy.prediction import prediction_rows, prediction_table
from aebnas_bo.errors import DataError
from tests.fitting import check_fit


def make_pictures(folder: Path) -> list[Path]:
    paths = [folder / "b.png", folder / "a.jpg", folder / "deep" / "c.PNG"]
    for number, path in enumerate(paths):
        path.parent.mkdir(exist_ok=True, parents=True)
        Image.new("RGB", (12, 9), (90 * number, 40, 200 - 90 * number)).save(path)
    (folder / "notes.txt").write_text("no picture")
    (folder / "._b.png").write_bytes(b"")
    return paths


def test_folders_give_their_pictures_in_order(tmp_path: Path) -> None:
    b, a, c = make_pictures(tmp_path)
    assert picture_files([tmp_path]) == [a, b, c]
    assert picture_files([c, tmp_path / "deep"]) == [c, c]


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such picture or folder"):
        picture_files([tmp_path / "nowhere"])
    with pytest.raises(DataError, match="holds no pictures"):
        picture_files([tmp_path])


def test_rows_and_table_say_class_exit_and_cost(make_network, tmp_path: Path) -> None:
    subnet, description = make_network()
    save_network(tmp_path / "network.safetensors", subnet, description)
    network = load(tmp_path)
    files = make_pictures(tmp_path / "pictures")
    rows = prediction_rows(network, files)
    found = network.predict(files)
    costs = {output.name: output.macs for output in description.outputs}
    for row, label, left_at in zip(rows, found.labels.tolist(), found.exit_indices.tolist(), strict=True):
        assert row["class_name"] == description.class_names[label]
        assert row["exit"] == description.outputs[left_at].name
        assert row["macs"] == costs[row["exit"]]
    console = Console(width=200, record=True)
    console.print(prediction_table(network, rows))
    text = console.export_text()
    assert f"{sum(row['macs'] for row in rows) / 3e6:.4g} M MACs per picture" in text
    assert all(Path(row["file"]).name in text for row in rows)


def test_names_are_shown_as_they_are(make_network, tmp_path: Path) -> None:
    subnet, description = make_network()
    save_network(tmp_path / "network.safetensors", subnet, description)
    row = {"file": "[red]x[/red].png", "label": 2, "class_name": "[bold]emu", "confidence": 0.5, "exit": "exit1",
           "macs": 5}  # fmt: skip
    console = Console(width=200, record=True)
    console.print(prediction_table(load(tmp_path), [row]))
    text = console.export_text()
    assert "[red]x[/red].png" in text
    assert "[bold]emu" in text


def test_folders_hold_the_pictures_that_training_would_find(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures/linked").symlink_to(tmp_path / "elsewhere")
    for name in ("pictures/b.jfif", "pictures/a", "elsewhere/c.png", "pictures/.hidden.png", "pictures/notes.txt"):
        Image.new("RGB", (4, 4)).save(tmp_path / name, "PNG")
    (tmp_path / "pictures/README").write_text("no picture")
    found = [str(path.relative_to(tmp_path / "pictures")) for path in picture_files([tmp_path / "pictures"])]
    assert found == ["a", "b.jfif", "linked/c.png"]


def test_the_table_fits_a_terminal_and_only_long_paths_are_folded(make_network, tmp_path: Path) -> None:
    subnet, description = make_network()
    save_network(tmp_path / "network.safetensors", subnet, description)
    row = {"file": "/photographs/2024/" * 6 + "a picture.png", "label": 2, "class_name": "northern hawk-owl",
           "confidence": 0.5, "exit": "exit1", "macs": 123_456_789}  # fmt: skip
    text = check_fit(prediction_table(load(tmp_path), [row]))
    assert "hawk-owl" in text
    assert text.count("│ 123.5 │") == 1
