import io
import random
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from aebnas_bo.data.image_sources import Member, list_images, look_through, passed_over, read_images
from aebnas_bo.errors import DataError

CONTENTS = {
    Member("test", "cat", "0.png"): b"tc",
    Member("train", "cat", "0.png"): b"c0",
    Member("train", "cat", "deep/1.JPG"): b"c1" * 400,
    Member("train", "dog", "0.png"): b"d0",
}
IGNORED = ["notes.txt", "train/readme.png", "train/cat/notes.txt", "train/cat/._0.png", "extra/cat/9.png"]


def fill(root: Path) -> Path:
    files = {"/".join(member): data for member, data in CONTENTS.items()} | dict.fromkeys(IGNORED, b"no")
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def pack(folder: Path, archive: Path, arcname: str) -> Path:
    with tarfile.open(archive, f"w:{archive.suffix[1:].replace('tar', '')}") as tar:  # type: ignore[call-overload]
        tar.add(folder, arcname=arcname)
    return archive


def in_folder(tmp_path: Path) -> Path:
    return fill(tmp_path / "images")


def in_enclosing_folder(tmp_path: Path) -> Path:
    fill(tmp_path / "outer" / "images")
    return tmp_path / "outer"


def in_tar(tmp_path: Path) -> Path:
    return pack(fill(tmp_path / "images"), tmp_path / "images.tar", ".")


def in_gz_with_enclosing_folder(tmp_path: Path) -> Path:
    return pack(fill(tmp_path / "images"), tmp_path / "images.tar.gz", "images")


def in_xz(tmp_path: Path) -> Path:
    return pack(fill(tmp_path / "images"), tmp_path / "images.tar.xz", "")


@pytest.mark.parametrize("make", [in_folder, in_enclosing_folder, in_tar, in_gz_with_enclosing_folder, in_xz])
def test_sources_list_and_read_the_same_everywhere(make: Callable[[Path], Path], tmp_path: Path) -> None:
    root = make(tmp_path)
    places = list_images(root)
    assert sorted(places) == sorted(CONTENTS)
    assert dict(read_images(root, places)) == CONTENTS


def test_read_images_reads_only_what_is_asked_for(tmp_path: Path) -> None:
    root = in_xz(tmp_path)
    wanted = Member("train", "dog", "0.png")
    assert dict(read_images(root, {wanted: list_images(root)[wanted]})) == {wanted: b"d0"}
    assert dict(read_images(root, {})) == {}


def test_list_images_passes_over_links_in_archives(tmp_path: Path) -> None:
    archive = tmp_path / "links.tar"
    with tarfile.open(archive, "w") as tar:
        entry = tarfile.TarInfo("train/cat/0.png")
        entry.size = 2
        tar.addfile(entry, io.BytesIO(b"ok"))
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE):
            other = tarfile.TarInfo(f"train/cat/{kind.decode()}.png")
            other.type, other.linkname = kind, "../../../secret.png"
            tar.addfile(other)
    assert list(list_images(archive)) == [Member("train", "cat", "0.png")]


def test_list_images_prefers_the_outermost_folder(tmp_path: Path) -> None:
    root = in_folder(tmp_path)
    fill(root / "backup")
    (root / "backup/train/cat/77.png").write_bytes(b"old")
    assert sorted(list_images(root)) == sorted(CONTENTS)


def test_list_images_refuses_two_enclosing_folders(tmp_path: Path) -> None:
    fill(tmp_path / "one")
    fill(tmp_path / "two")
    with pytest.raises(DataError, match=r"^data\.root: expected one folder.*one, two.*--set data\.root") as caught:
        list_images(tmp_path)
    assert caught.value.__cause__ is None  # it is not reported as an unreadable file


UNSPLIT = {
    Member("train", "cat", "0.png"): b"c0",
    Member("train", "cat", "deep/1.JPG"): b"c1",
    Member("train", "dog", "0.png"): b"d0",
}


def fill_unsplit(root: Path) -> Path:
    for name in ("cat/0.png", "cat/deep/1.JPG", "dog/0.png", "docs/figures/0.png", ".hidden/0.png", "0.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(UNSPLIT.get(Member("train", *name.split("/", 1)), b"no") if "/" in name else b"no")
    return root


@pytest.mark.parametrize("is_enclosed", [False, True])
@pytest.mark.parametrize("is_packed", [False, True])
def test_class_folders_without_splits_are_training_images(is_enclosed: bool, is_packed: bool, tmp_path: Path) -> None:
    fill_unsplit(tmp_path / "outer/pets")
    root = tmp_path / ("outer" if is_enclosed else "outer/pets")
    if is_packed:
        root = pack(root, tmp_path / "pets.tar", ".")
    listing = look_through(root)
    assert dict(read_images(root, listing.places)) == UNSPLIT
    assert not listing.has_splits
    where = "pets.tar" if is_packed and not is_enclosed else "pets"
    expected = [f"1 outside class folders in {where}/", "1 hidden", "folders without images of their own (docs)"]
    assert sorted(passed_over(listing)) == sorted(expected)


def write_all(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


@pytest.mark.parametrize("is_packed", [False, True])
def test_classes_may_have_all_their_images_one_folder_deeper(is_packed: bool, tmp_path: Path) -> None:
    names = ("cat/cat7/0.png", "cat/cat7/1.png", "dog/dog7/0.png", "dog/index.txt", "docs/much/deeper/0.png")
    root = write_all(tmp_path / "pets", *names)
    listing = look_through(pack(root, tmp_path / "pets.tar", ".") if is_packed else root)
    assert sorted(listing.places) == [Member("train", name, rest) for name, rest in (
        ("cat", "cat7/0.png"), ("cat", "cat7/1.png"), ("dog", "dog7/0.png"))]  # fmt: skip
    assert listing.others == ["docs"]


def test_folders_of_several_folders_may_be_classes_or_data_sets(tmp_path: Path) -> None:
    write_all(tmp_path, "cat/a/0.png", "cat/b/1.png", "dog/a/0.png")
    with pytest.raises(DataError, match=r"found cat, dog; .*or move all of them into a folder train/"):
        list_images(tmp_path)
    (tmp_path / "train").mkdir()
    for name in ("cat", "dog"):
        (tmp_path / name).rename(tmp_path / "train" / name)
    assert {member.class_name for member in list_images(tmp_path)} == {"cat", "dog"}


def test_two_folders_of_class_folders_are_refused(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (fill_unsplit(tmp_path / name) / "0.png").unlink()
    with pytest.raises(DataError, match=r"expected one folder with class folders in .*one, two.*--set data\.root"):
        list_images(tmp_path)


def test_folders_of_splits_take_precedence_over_class_folders(tmp_path: Path) -> None:
    root = fill_unsplit(tmp_path / "outer")
    fill(root / "images")
    listing = look_through(root)
    assert sorted(listing.places) == sorted(CONTENTS)
    assert listing.has_splits


@pytest.mark.parametrize(("train", "test"), [("Training", "Testing"), ("TRAIN", "Test")])
def test_other_names_of_splits_are_known(train: str, test: str, tmp_path: Path) -> None:
    root = in_folder(tmp_path)
    (root / "train").rename(root / train)
    (root / "test").rename(root / test)
    assert sorted(list_images(root)) == sorted(CONTENTS)


def test_list_images_names_a_missing_place(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere does not exist.*--set data\.root=PATH"):
        list_images(tmp_path / "nowhere")


def large(tmp_path: Path, suffix: str) -> Path:
    """An archive large enough to be damaged in the middle of its contents."""
    noise = random.Random(0).randbytes(20000)
    for i in range(5):
        path = tmp_path / "large" / "train" / "cat" / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(noise[i:] + noise[:i])
    return pack(tmp_path / "large", tmp_path / f"large{suffix}", "large")


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def overwrite_middle(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + b"\xa5" * 40 + data[middle + 40 :]


def junk(data: bytes) -> bytes:
    return b"no archive at all" * 40


@pytest.mark.parametrize("suffix", [".tar.gz", ".tar.xz"])
@pytest.mark.parametrize("damage", [cut, overwrite_middle, junk])
def test_a_damaged_archive_is_reported(damage: Callable[[bytes], bytes], suffix: str, tmp_path: Path) -> None:
    archive = large(tmp_path, suffix)
    assert len(list_images(archive)) == 5
    archive.write_bytes(damage(archive.read_bytes()))
    with pytest.raises(DataError, match=rf"expected a complete \.tar.*large\{suffix} of \d+ bytes.*copy or download"):
        list_images(archive)


def test_a_damaged_header_does_not_pass_for_the_end_of_the_archive(tmp_path: Path) -> None:
    archive = large(tmp_path, ".tar")
    with tarfile.open(archive) as tar:
        header = [entry for entry in tar if entry.isreg()][2].offset
    data = bytearray(archive.read_bytes())
    data[header : header + 100] = b"\xff" * 100
    archive.write_bytes(data)
    with pytest.raises(DataError, match="data follows an unreadable header"):
        list_images(archive)


def test_read_images_reports_an_archive_that_has_changed_since(tmp_path: Path) -> None:
    archive = large(tmp_path, ".tar.xz")
    places = list_images(archive)
    archive.write_bytes(overwrite_middle(archive.read_bytes()))
    with pytest.raises(DataError, match="is damaged"):
        dict(read_images(archive, places))


def test_read_images_reports_a_file_that_has_gone(tmp_path: Path) -> None:
    root = in_folder(tmp_path)
    places = list_images(root)
    (root / "train/dog/0.png").unlink()
    with pytest.raises(DataError, match=r"dog/0\.png cannot be read"):
        dict(read_images(root, places))
