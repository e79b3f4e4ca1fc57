import bz2
import gzip
import io
import lzma
import os
import random
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from aebnas_bo.data import archives, file_trees
from aebnas_bo.data.image_sources import Member, list_images, read_images
from aebnas_bo.errors import DataError

PICTURE = Member("train", "cat", "0.png")


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size, entry.type = size, kind
    return entry.tobuf(tarfile.GNU_FORMAT)


def with_size_field(block: bytes, field: bytes) -> bytes:
    """Return a header with another size field and the checksum that fits it."""
    block = block[:124] + field.ljust(12, b"\0") + b" " * 20 + block[156:]
    block = block[:136] + b"0" * 11 + b"\0" + b" " * 8 + block[156:]
    return block[:148] + f"{sum(block):06o}\0 ".encode() + block[156:]


def member(name: str, data: bytes) -> bytes:
    return header(name, len(data)) + data.ljust(-(-len(data) // 512) * 512, b"\0")


def written(path: Path, *parts: bytes) -> Path:
    path.write_bytes(b"".join(parts) + bytes(1024))
    return path


def test_every_compression_is_read(tmp_path: Path) -> None:
    data = written(tmp_path / "plain.tar", member("train/cat/0.png", b"picture")).read_bytes()
    packed = {"a.tar": data, "a.tgz": gzip.compress(data), "a.bz2": bz2.compress(data), "a.tar.xz": lzma.compress(data),
              "a.lzma": lzma.compress(data, format=lzma.FORMAT_ALONE)}  # fmt: skip
    for name, contents in packed.items():
        (tmp_path / name).write_bytes(contents)
        assert dict(read_images(tmp_path / name, list_images(tmp_path / name))) == {PICTURE: b"picture"}


@pytest.mark.skipif(shutil.which("tar") is None, reason="needs tar")
@pytest.mark.parametrize("format_", ["gnu", "posix"])
def test_a_hole_of_50_gibibytes_is_not_read(format_: str, tmp_path: Path) -> None:
    place = tmp_path / "train" / "cat" / "0.png"
    place.parent.mkdir(parents=True)
    with place.open("wb") as file:
        file.truncate(50 << 30)
    packing = subprocess.run(
        ["tar", "--sparse", f"--format={format_}", "-cf", "holes.tar", "train"], cwd=tmp_path, check=False
    )
    if packing.returncode:
        pytest.skip("this tar cannot pack holes")
    root = tmp_path / "holes.tar"
    assert root.stat().st_size < 1 << 20
    places = list_images(root)
    with pytest.raises(DataError, match=r"holes\.tar: train/cat/0\.png is stored as a sparse file of 50 GiB.*unpack"):
        dict(read_images(root, places))


def test_a_member_that_is_no_picture_may_be_large_and_a_picture_may_not(tmp_path: Path) -> None:
    root, size = tmp_path / "large.tar", 600 << 20
    for name, kept in (("train/cat/0.csv", []), ("train/cat/0.png", [PICTURE])):
        with root.open("wb") as file:
            file.write(header(name, size))
            file.truncate(512 + size + 1024)
        assert list(list_images(root)) == kept
    with pytest.raises(DataError, match=r"^data\.root: \S*/large\.tar: train/cat/0\.png has 600 MiB, more than 512"):
        dict(read_images(root, list_images(root)))


LONG_NAME = header("././@LongLink", 8, tarfile.GNUTYPE_LONGNAME) + b"another\0".ljust(512, b"\0")
DAMAGED = {
    "promised": header("train/cat/0.png", 1 << 40),
    "extended header": header("pax", 1 << 33, tarfile.XHDTYPE),
    "long name": header("././@LongLink", 2 << 20, tarfile.GNUTYPE_LONGNAME) + bytes(2 << 20),
    "chain of headers": 3000 * LONG_NAME,
    "before the beginning": with_size_field(header("train/cat/0.png", 0), b"\xff" * 10 + b"\xf6\x00"),
    "below zero": with_size_field(header("train/cat/0.png", 0), b"\xff" * 10 + b"\xfa\x00"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_headers_that_ask_for_too_much_are_refused(name: str, tmp_path: Path) -> None:
    before = [member(f"train/dog/{number}.png", b"ok") for number in range(2)]
    root = written(tmp_path / "a.tar", *before, DAMAGED[name])
    with pytest.raises(DataError, match=r"expected a complete \.tar.*is damaged|would unpack to more than 4 GiB"):
        list_images(root)


@pytest.mark.parametrize("place", ["in a member", "behind the end"])
def test_an_archive_that_expands_without_end_is_refused(place: str, tmp_path: Path, monkeypatch) -> None:
    zeros = bytes(1 << 20)
    data = member("train/cat/0.png", zeros) if place == "in a member" else member("train/cat/0.png", b"") + zeros
    root = written(tmp_path / "bomb.tar.gz")
    root.write_bytes(gzip.compress(data + bytes(1024)))
    assert list(list_images(root)) == [PICTURE]
    monkeypatch.setattr(archives, "ALWAYS_ALLOWED", 1 << 19)
    with pytest.raises(DataError, match=r"bomb\.tar\.gz would unpack to more than 524288 bytes; .*unpack it yourself"):
        list_images(root)


def test_an_archive_of_too_many_members_is_refused(tmp_path: Path, monkeypatch) -> None:
    root = written(tmp_path / "many.tar", *(member(f"train/cat/{number}.png", b"ok") for number in range(4)))
    monkeypatch.setattr(archives, "MOST_MEMBERS", 4)
    assert len(list_images(root)) == 4
    monkeypatch.setattr(archives, "MOST_MEMBERS", 3)
    with pytest.raises(DataError, match=r"many\.tar has more than 3 members; if you trust it, unpack it yourself"):
        list_images(root)


def long_name(name: str, kind: bytes = tarfile.GNUTYPE_LONGNAME) -> bytes:
    data = name.encode() + b"\0"
    return header("././@LongLink", len(data), kind) + data.ljust(-(-len(data) // 512) * 512, b"\0")


def test_folders_are_not_nested_without_end(tmp_path: Path) -> None:
    name = f"train/cat/{'d/' * 100_000}0.png"  # a list of all its folders would take 40 GB
    with pytest.raises(DataError, match=r"folders are nested 100,003 levels deep, more than 64\)"):
        list_images(written(tmp_path / "a.tar", long_name(name), member("short", b"picture")))
    levels = file_trees.MOST_LEVELS - 3
    name = f"train/cat/{'d/' * levels}0.png"
    found = list_images(written(tmp_path / "b.tar", long_name(name), member("short", b"picture")))
    assert list(found) == [Member("train", "cat", f"{'d/' * levels}0.png")]


def test_an_archive_of_too_many_folders_is_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(file_trees, "MOST_FOLDERS", 20)
    many = [member(f"train/cat/{number}/0.png", b"") for number in range(20)]
    with pytest.raises(DataError, match="it has more than 20 folders"):
        list_images(written(tmp_path / "a.tar", *many))
    assert len(list_images(written(tmp_path / "b.tar", *many[:17]))) == 17


def test_a_link_with_a_long_target_is_a_broken_link(tmp_path: Path) -> None:
    target = "a/../" * 50_000 + "0.png"
    link = long_name(target, tarfile.GNUTYPE_LONGLINK) + header("train/cat/1.png", 0, tarfile.SYMTYPE)
    found = list_images(written(tmp_path / "a.tar", member("train/cat/0.png", b"picture"), link))
    assert list(found) == [PICTURE]


def test_names_mean_what_they_do_when_the_archive_is_unpacked(tmp_path: Path) -> None:
    names = ["train/cat/0.png", "../train/cat/1.png", "train/../../2.png", "./train/cat/0.png"]
    root = written(tmp_path / "names.tar", *(member(name, name.encode()) for name in names))
    places = list_images(root)
    assert dict(read_images(root, places)) == {PICTURE: b"./train/cat/0.png"}  # the last of a name counts
    root = written(tmp_path / "absolute.tar", member("/train/cat/0.png", b"ok"))
    assert dict(read_images(root, list_images(root))) == {PICTURE: b"ok"}


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_is_no_file_is_no_archive(kind: str, tmp_path: Path) -> None:
    root = {"pipe": tmp_path / "a.tar", "device": Path("/dev/zero")}[kind]
    if kind == "pipe":
        os.mkfifo(root)
    with pytest.raises(DataError, match=rf"data\.root: {root} cannot be read .*it is a {kind}"):
        list_images(root)


def flipped(data: bytearray, generator: random.Random) -> None:
    data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)


def another_field(data: bytearray, generator: random.Random) -> None:
    """Change a header's size, kind or list of holes, with a checksum that fits."""
    place = 512 * generator.randrange(max(len(data) // 512, 1))
    block = bytearray(data[place : place + 512])
    at = generator.choice([124, 156, 386, 398, 482, 483])
    new = generator.choice([b"\xff" * 12, b"\x80" + bytes(10) + b"\x01", b"77777777777\0", b"-0000000001\0", b"S", b"x",
                            b"L", b"K", b"g", b"1", b"2", b"\x80\0\0\0\0\x10\0\0\0\0\0\0"])  # fmt: skip
    block[at : at + len(new)] = new
    block[148:156] = b" " * 8
    block[148:156] = f"{sum(block[:512]):06o}\0 ".encode()
    data[place : place + 512] = block[:512]


def cut(data: bytearray, generator: random.Random) -> None:
    del data[generator.randrange(1, len(data)) :]


MUTATIONS: tuple[Callable[[bytearray, random.Random], None], ...] = (flipped, another_field, another_field, cut)


@pytest.mark.slow
@pytest.mark.parametrize("compress", [bytes, gzip.compress, lzma.compress], ids=["tar", "gz", "xz"])
def test_a_mutated_archive_is_read_or_refused_with_one_line(compress: Callable[[bytes], bytes], tmp_path: Path) -> None:
    count = int(os.environ.get("AEBNAS_BO_MUTATIONS", "200"))
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in ("train/cat/0.png", f"train/dog/{'long' * 40}ä.png", "train/dog/1.png"):
            entry = tarfile.TarInfo(name)
            entry.size = 700
            tar.addfile(entry, io.BytesIO(bytes(range(70)) * 10))
    root, generator, messages = tmp_path / "a.tar", random.Random(int(os.environ.get("AEBNAS_BO_SEED", "0"))), []
    for number in range(count):
        data = bytearray(buffer.getvalue())
        for _ in range(generator.randrange(1, 3)):
            generator.choice(MUTATIONS)(data, generator)
        packed = bytearray(compress(bytes(data)))
        if compress is not bytes and number % 2:
            flipped(packed, generator)
        root.write_bytes(packed)
        try:
            dict(read_images(root, list_images(root)))
        except DataError as error:
            messages.append(str(error))
    assert messages
    assert not [message for message in messages if "\n" in message]
