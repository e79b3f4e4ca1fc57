"""Advice about files, names and values from Python is followed, and what failed then works."""

import shutil
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from aebnas_bo.data.groups import number_groups
from aebnas_bo.data.image_sources import list_images
from aebnas_bo.deploy.exported_files import network_file, picture_files
from aebnas_bo.errors import DataError, SearchSpaceError, UsageError
from aebnas_bo.estimation.tabular_estimator import TabularEstimator
from aebnas_bo.experiments.comparison.method_files import method_files
from aebnas_bo.space.search_space import ChoiceParameter
from aebnas_bo.storage.run_folder import choose_run_folder, make_folder_of


@pytest.mark.parametrize(
    ("text", "advice", "mended"),
    [
        (",a,b,accuracy\n0,1,2,50\n1,2,1,60\n", r"name it, or remove it \(pandas: to_csv\(index=False\)\)", None),
        (",a,b,accuracy\n0,1,2,50\n1,2,1,60\n", "name it", "n,a,b,accuracy\n0,1,2,50\n1,2,1,60\n"),
        ("a,a,accuracy\n1,2,50\n2,1,60\n", "use distinct names", "a,b,accuracy\n1,2,50\n2,1,60\n"),
        ("a,b,accuracy\n1,7,50\n2,7,60\n", "remove the column", "a,accuracy\n1,50\n2,60\n"),
    ],
)
def test_a_table_is_read_once_its_columns_are_mended(
    text: str, advice: str, mended: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=advice):
        TabularEstimator.from_csv(path, metrics=("accuracy",))
    path.write_text(mended or "\n".join(line.partition(",")[2] for line in text.splitlines()))
    assert len(TabularEstimator.from_csv(path, metrics=("accuracy",)).rows) == 2


def test_values_in_the_order_that_is_advised_are_accepted() -> None:
    with pytest.raises(SearchSpaceError, match=r"give \[1, 3\]"):
        ChoiceParameter("a", (3, 1))
    assert ChoiceParameter("a", (1, 3)).values == (1, 3)


def test_a_method_with_another_name_is_found(tmp_path: Path) -> None:
    (tmp_path / "con.yaml").write_text("search: {budget: 3}\n")
    with pytest.raises(UsageError, match="give the file another name"):
        method_files([str(tmp_path / "con.yaml")], tmp_path / "c.yaml")
    renamed = (tmp_path / "con.yaml").rename(tmp_path / "mine.yaml")
    assert method_files([str(renamed)], tmp_path / "c.yaml") == {"mine": renamed}


def test_a_file_in_the_place_of_runs_is_removed_or_gone_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("runs").write_text("no folder")
    with pytest.raises(UsageError, match="remove it, or name a run folder with --out"):
        choose_run_folder(None, "digits-seed0", False)
    assert choose_run_folder(Path("mine"), "digits-seed0", False).path == Path("mine")
    Path("runs").unlink()
    assert choose_run_folder(None, "digits-seed0", False).path == Path("runs/digits-seed0")


def test_outputs_go_where_the_message_says(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="is a file; give a folder"):
        choose_run_folder(tmp_path / "file", "s", False)
    with pytest.raises(UsageError, match="is a folder; give a file"):
        make_folder_of(tmp_path)
    with pytest.raises(UsageError, match="use another file"):
        make_folder_of(tmp_path / "file/table.csv")
    assert choose_run_folder(tmp_path / "folder", "s", False).path == tmp_path / "folder"
    make_folder_of(tmp_path / "folder/table.csv")
    (tmp_path / "folder/table.csv").write_text("")


def test_files_that_do_not_match_a_pattern_are_renamed_or_the_pattern_is_changed() -> None:
    names = ["1_a.png", "1_b.png", "x.png"]
    with pytest.raises(DataError, match=r"for example x\.png; change the pattern or rename these files"):
        number_groups(names, "^([0-9]+)_")
    assert number_groups([*names[:2], "2_x.png"], "^([0-9]+)_").tolist() == [0, 0, 1]
    assert number_groups(names, "^([0-9]+|.)").tolist() == [0, 0, 1]


def test_a_zip_archive_is_unpacked_or_packed_as_tar(tmp_path: Path) -> None:
    for label in ("cat", "dog"):
        (tmp_path / "pets/train" / label).mkdir(parents=True)
        for number in range(2):
            Image.new("L", (8, 8), 90 * number).save(tmp_path / f"pets/train/{label}/{number}.png")
    packed = tmp_path / "pets.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted((tmp_path / "pets").rglob("*.png")):
            archive.write(path, path.relative_to(tmp_path / "pets"))
    with pytest.raises(DataError, match=r"unpack it and give the folder, or repack it as \.tar"):
        list_images(packed)
    shutil.unpack_archive(packed, tmp_path / "unpacked")
    tar = shutil.make_archive(str(tmp_path / "again"), "tar", tmp_path / "unpacked")
    members = [sorted(list_images(place)) for place in (tmp_path / "unpacked", Path(tar))]
    assert members[0] == members[1]
    assert len(members[0]) == 4


def test_a_segment_or_a_folder_that_holds_nothing_is_told_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"expected one of network\.safetensors, network\.onnx, manifest\.json"):
        network_file(tmp_path)
    (tmp_path / "network.onnx").write_bytes(b"")
    assert network_file(tmp_path) == tmp_path / "network.onnx"


def test_pictures_are_given_themselves_where_their_folder_cannot_be_read(tmp_path: Path, monkeypatch) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "a.png")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", str(tmp_path / "secret"))

    monkeypatch.setattr("aebnas_bo.data.file_trees.FolderTree.children", refuse)
    with pytest.raises(
        DataError, match=r"secret: cannot be read \(Permission denied\); .* give the pictures themselves"
    ):
        picture_files([tmp_path])
    assert picture_files([tmp_path / "a.png"]) == [tmp_path / "a.png"]
