"""Links in folders and archives lead to the same files; none leads out of an archive or goes in circles."""

import io
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aebnas_bo.data.image_sources import Listing, list_images, look_through, passed_over, read_images
from aebnas_bo.data.imagefolder import load_imagefolder
from aebnas_bo.data.settings import DataConfig
from aebnas_bo.errors import DataError


def picture(number: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((4, 4, 3), 10 * number, dtype=np.uint8)).save(file, "JPEG")
    return file.getvalue()


def write(root: Path) -> Path:
    for place in ("train/cat", "train/dog", "test/cat", "test/dog", "pool/deep"):
        (root / place).mkdir(parents=True)
        for number in range(4):
            (root / place / f"{number}.jpg").write_bytes(picture(number + len(place)))
    return root


def pack(root: Path) -> Path:
    archive = root.with_suffix(".tar.xz")
    with tarfile.open(archive, "w:xz") as tar:
        tar.add(root, arcname=".")
    return archive


def names(listing: Listing, split: str = "train") -> list[str]:
    return sorted(f"{member.class_name}/{member.name}" for member in listing.places if member.split == split)


CATS = [f"cat/{number}.jpg" for number in range(4)]
DOGS = [f"dog/{number}.jpg" for number in range(4)]


@pytest.mark.parametrize(
    ("link", "target", "added"),
    [
        ("train/cat/more", "../../pool", [f"cat/more/deep/{number}.jpg" for number in range(4)]),
        ("train/emu", "../pool/deep", [f"emu/{number}.jpg" for number in range(4)]),
        ("train/cat/9.jpg", "../../pool/deep/1.jpg", ["cat/9.jpg"]),
        ("train/cat/9", "../../pool/deep/1.jpg", ["cat/9"]),
        ("train/cat/round", ".", []),
        ("train/cat/round", "../../train", []),
        ("train/cat/round", "../..", []),
        ("train/cat/round", "../dog", [f"cat/round/{number}.jpg" for number in range(4)]),
    ],
)
def test_links_are_followed_alike_in_folders_and_archives(
    link: str, target: str, added: list[str], tmp_path: Path
) -> None:
    root = write(tmp_path / "pets")
    (root / link).symlink_to(target)
    found = {}
    for place in (root, pack(root)):
        listing = look_through(place)
        assert names(listing) == sorted(CATS + DOGS + added)
        found[place] = dict(read_images(place, listing.places))
    assert found[root] == found[root.with_suffix(".tar.xz")]


def test_links_to_an_enclosing_folder_are_counted_and_bring_no_image_of_another_class(tmp_path: Path) -> None:
    root = write(tmp_path / "pets")
    (root / "train/cat/all").symlink_to("../../train")
    (root / "train/dog/all").symlink_to("../..")
    for place in (root, pack(root)):
        listing = look_through(place)
        assert names(listing) == sorted(CATS + DOGS)
        assert passed_over(listing)[0] == "2 links to an enclosing folder"


def test_hard_links_in_archives_are_files(tmp_path: Path) -> None:
    root = write(tmp_path / "pets")
    (root / "train/cat/9.jpg").hardlink_to(root / "pool/deep/1.jpg")
    archive = pack(root)
    with tarfile.open(archive) as tar:
        assert tarfile.LNKTYPE in {entry.type for entry in tar}
    places = list_images(archive)
    assert dict(read_images(archive, places)) == dict(read_images(root, list_images(root)))


def test_folders_are_followed_out_of_the_root_and_archives_are_not(tmp_path: Path) -> None:
    root = write(tmp_path / "pets")
    (root / "pool").rename(tmp_path / "elsewhere")
    (root / "train/cat/more").symlink_to("../../../elsewhere/deep")
    (root / "train/dog/absolute.jpg").symlink_to(tmp_path / "elsewhere/deep/1.jpg")
    (root / "train/dog/dead.jpg").symlink_to("nowhere.jpg")
    (root / "train/dog/circle.jpg").symlink_to("circle.jpg")
    assert len(list_images(root)) == 16 + 4 + 1
    assert passed_over(look_through(root)) == ("2 broken links",)
    archive = look_through(pack(root))
    assert len(archive.places) == 16
    assert passed_over(archive) == ("4 broken links",)


def test_many_links_to_one_folder_do_not_multiply_it(tmp_path: Path) -> None:
    root = write(tmp_path / "pets")
    for level in range(30):
        (root / f"pool/{level}").mkdir()
        for name in "ab":
            (root / f"pool/{level}/{name}").symlink_to(f"../{level + 1 if level < 29 else 'deep'}")
    (root / "train/cat/more").symlink_to("../../pool/0")
    for place in (root, pack(root)):
        assert len(list_images(place)) == 20


def test_names_that_lead_out_of_an_archive_are_not_read(tmp_path: Path) -> None:
    archive = tmp_path / "pets.tar"
    with tarfile.open(archive, "w") as tar:
        unused = ("../train/cat/1.jpg", "train/../../cat/2.jpg", "train/cat\0/4.jpg")
        for name in ("train/cat/0.jpg", *unused, "/train/cat/3.jpg"):
            entry = tarfile.TarInfo(name)
            entry.size = 2
            entry.pax_headers = {"path": name}  # the field of a name ends at NUL
            tar.addfile(entry, io.BytesIO(b"ok"))
    listing = look_through(archive)
    assert names(listing) == ["cat/0.jpg", "cat/3.jpg"]  # unpacking takes the first / off
    assert passed_over(listing) == ("3 with .. or NUL in their names",)


def odd_names(root: Path) -> Path:
    for old, new in (("0.jpg", "0.jfif"), ("1.jpg", "1"), ("2.jpg", "2.JPE")):
        (root / "train/cat" / old).rename(root / "train/cat" / new)
    for name, contents in (("README", b"text"), ("a.txt", b""), ("b.txt", b""), (".DS_Store", b""), ("x.heic", b"")):
        (root / "train/dog" / name).write_bytes(contents)
    (root / "train/loose.jpg").write_bytes(picture(1))
    (root / "train/emu").mkdir()
    return root


def test_odd_names_are_read_and_what_is_passed_over_is_counted(tmp_path: Path) -> None:
    root = odd_names(write(tmp_path / "pets"))
    for place in (root, pack(root)):
        listing = look_through(place)
        assert names(listing) == sorted(["cat/0.jfif", "cat/1", "cat/2.JPE", "cat/3.jpg", *DOGS])
        assert sorted(passed_over(listing)) == [
            "1 .heic", "1 class folders without images (train/emu)", "1 hidden", "1 outside class folders in train/",
            "1 without suffix", "2 .txt", "folders next to train/ (pool)",
        ]  # fmt: skip


def test_avif_is_read_where_pillow_can(tmp_path: Path) -> None:
    root = write(tmp_path / "pets")
    for folder in ("cat", "dog"):
        Image.new("RGB", (8, 8), (10, 200, 30)).save(root / "train" / folder / "4.avif", quality=100)
    dataset = load_imagefolder(DataConfig(dataset="imagefolder", root=str(root), image_size=4))
    assert len(dataset.train) == 10
    assert abs(dataset.train.images[4, :, 0, 0].int() - 10).min() <= 3


@pytest.mark.parametrize("name", ["val", "valid", "Validation", "VAL"])
def test_a_folder_of_validation_images_is_the_validation_split(name: str, tmp_path: Path) -> None:
    root = write(tmp_path / "pets")
    (root / "pool").rename(root / name)
    (root / name / "deep").rename(root / name / "cat")
    (root / name / "cat/0.jpg").rename(root / name / "0.jpg")
    with pytest.raises(DataError, match=f"same classes in train and {name}.*only in train: dog"):
        load_imagefolder(DataConfig(dataset="imagefolder", root=str(root), image_size=4))
    (root / name / "dog").mkdir()
    (root / name / "0.jpg").rename(root / name / "dog/0.jpg")
    dataset = load_imagefolder(DataConfig(dataset="imagefolder", root=str(root), image_size=4))
    assert dataset.validation is not None
    assert dataset.validation.labels.tolist() == [0, 0, 0, 1]


def test_two_folders_of_one_split_are_refused(tmp_path: Path) -> None:
    root = write(tmp_path / "pets")
    for name in ("val", "valid"):
        (root / name / "cat").mkdir(parents=True)
    with pytest.raises(DataError, match=r"expected one folder for validation images.*found val and valid"):
        look_through(root)


def test_capital_letters_in_names_of_splits_do_not_matter(tmp_path: Path) -> None:
    root = write(tmp_path / "pets")
    (root / "train").rename(root / "Train")
    for place in (root, pack(root)):
        assert names(look_through(place)) == CATS + DOGS


def test_a_zip_archive_is_named(tmp_path: Path) -> None:
    write(tmp_path / "pets")
    shutil.make_archive(str(tmp_path / "pets"), "zip", tmp_path / "pets")
    with pytest.raises(DataError, match=r"pets\.zip is a zip archive, which is not supported; unpack it"):
        look_through(tmp_path / "pets.zip")
