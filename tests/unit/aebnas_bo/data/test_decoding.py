import io
import os
import random
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from aebnas_bo.data import decoding
from aebnas_bo.data.decoding import decode_image, read_picture
from aebnas_bo.data.imagefolder import load_imagefolder
from aebnas_bo.data.settings import DataConfig
from aebnas_bo.errors import DataError

EPS = b"""%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 8 8
%%EndComments
(/tmp/written) (w) file closefile
%%EOF
"""
SAVED = {"JPEG": {}, "PNG": {}, "BMP": {}, "WEBP": {"lossless": True}, "GIF": {}, "TIFF": {}, "PPM": {}, "AVIF": {}}


def saved(name: str, size: tuple[int, int] = (12, 9)) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, name, **SAVED[name])
    return buffer.getvalue()


@pytest.mark.parametrize("name", [name for name in SAVED if name != "AVIF" or name in decoding._formats()])
def test_known_formats_are_decoded_whatever_a_file_is_called(name) -> None:
    assert decode_image(saved(name), 6, 3, origin="picture.png").shape == (3, 6, 6)


@pytest.mark.parametrize("name", ["PDF", "ICO", "TGA", "SGI", "PCX"])
def test_other_formats_are_refused(name) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, name)
    with pytest.raises(DataError, match=r"a\.png cannot be decoded .*damaged or not one of JPEG, PNG.*remove or"):
        decode_image(buffer.getvalue(), 8, 3, origin="a.png")


def eps_in_folder(folder: Path) -> Path:
    (folder / "train/cat/0.png").write_bytes(EPS)
    return folder


def eps_in_archive(folder: Path) -> Path:
    with tarfile.open(folder.with_suffix(".tar"), "w") as tar:
        tar.add(eps_in_folder(folder), arcname=".")
    return folder.with_suffix(".tar")


@pytest.mark.parametrize("make", [eps_in_folder, eps_in_archive])
def test_an_eps_called_png_starts_no_program(make, write_images, tmp_path: Path, monkeypatch) -> None:
    started: list[object] = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *given, **_: started.append(given))
    root = make(write_images(tmp_path / "images", {"train/cat": 3, "train/dog": 3}))
    with pytest.raises(DataError, match=r"train/cat/0\.png cannot be decoded as an image"):
        load_imagefolder(DataConfig(dataset="imagefolder", root=str(root), image_size=8))
    assert started == []


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"P6\n#" + b"x" * (1 << 17) + b"\n2 2\n255\n" + bytes(12), "its header is longer than 65536 bytes"),
        (b"P6\n" + b"#x\n" * (1 << 16) + b"2 2\n255\n" + bytes(12), "its header is longer than 65536 bytes"),
        (b"P3\n2 2\n255\n" + b"#x\n" * (1 << 16) + b"1 2 3 " * 4, "it has more than 10,000 comments"),
    ],
)
def test_comments_that_take_minutes_to_read_are_refused(data: bytes, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        decode_image(data, 2, 1, origin="a.ppm")


def test_ppm_files_with_some_comments_are_read() -> None:
    rows = bytes(range(256)) * 256 * 3
    assert decode_image(b"P6\n# made\n256 # wide\n256\n255\n" + rows, 256, 3, origin="a.ppm")[2, 0, 0] == 2
    text = b"P2\n# made\n2 2\n255\n" + b"# row\n1 2\n" * 2 + b" " * (1 << 17)
    assert decode_image(text, 2, 1, origin="a.pgm").tolist() == [[[1, 2], [1, 2]]]


def test_a_header_that_promises_many_pixels_is_refused(monkeypatch) -> None:
    data = saved("BMP", (40, 40))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # as some programs do
    huge = data[:18] + (60000).to_bytes(4, "little") * 2 + data[26:]
    with pytest.raises(DataError, match="it has 3,600,000,000 pixels, more than 178,956,970"):
        decode_image(huge, 8, 3, origin="a.bmp")
    monkeypatch.setattr(decoding.psutil, "virtual_memory", lambda: type("Memory", (), {"available": 3 << 20}))
    monkeypatch.setattr(decoding, "MANY_PIXELS", 1000)
    assert decode_image(data, 8, 3, origin="a.bmp").shape == (3, 8, 8)  # 19 kB
    monkeypatch.setattr(decoding, "BYTES_PER_PIXEL", 4096)
    with pytest.raises(DataError, match=r"its 1,600 pixels need 6\.25 MiB of memory, but 3 MiB is free"):
        decode_image(data, 8, 3, origin="a.bmp")


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_is_no_file_is_refused_and_not_waited_for(kind: str, tmp_path: Path) -> None:
    place = {"pipe": tmp_path / "pipe.png", "device": Path("/dev/zero")}[kind]
    if kind == "pipe":
        os.mkfifo(place)
    (tmp_path / "link.png").symlink_to(place)
    for path in (place, tmp_path / "link.png"):
        with pytest.raises(DataError, match=rf"{path.name} cannot be read \(it is a {kind}.*give a readable image"):
            read_picture(path)


def flipped(data: bytearray, generator: random.Random) -> None:
    data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)


def extreme(data: bytearray, generator: random.Random) -> None:
    place = generator.randrange(min(len(data), 64))  # most of them in the header
    data[place : place + 4] = generator.choice([b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", bytes(4), b"\0\0\xff\xff"])


def cut(data: bytearray, generator: random.Random) -> None:
    del data[generator.randrange(1, len(data)) :]


MUTATIONS: tuple[Callable[[bytearray, random.Random], None], ...] = (flipped, extreme, cut)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")  # of damaged tags
@pytest.mark.parametrize("name", [name for name in SAVED if name != "AVIF" or name in decoding._formats()])
def test_a_mutated_picture_is_decoded_or_refused_with_one_line(name) -> None:
    count = int(os.environ.get("AEBNAS_BO_MUTATIONS", "100"))
    generator = random.Random(int(os.environ.get("AEBNAS_BO_SEED", "0")))
    whole, messages = saved(name), []
    for _ in range(count):
        data = bytearray(whole)
        generator.choice(MUTATIONS)(data, generator)
        try:
            assert decode_image(bytes(data), 6, 3, origin="a.png").shape == (3, 6, 6)
        except DataError as error:
            messages.append(str(error))
    assert messages
    assert not [message for message in messages if "\n" in message]
