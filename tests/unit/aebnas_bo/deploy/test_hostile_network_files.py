"""Exported networks of an attacker, whose hashes fit: one line says what is wrong, and nothing large is allocated."""

import copy
import json
import os
import random
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
import pytest
import torch
from safetensors.torch import load_file

from aebnas_bo.deploy import load
from aebnas_bo.deploy.checksum import SEAL, UNSEALED, seal
from aebnas_bo.deploy.network_file import FINGERPRINT, save_network
from aebnas_bo.deploy.onnx_files import DESCRIPTION_KEY, SEAL_KEY, write_early_exit, write_segments
from aebnas_bo.deploy.segments import segments
from aebnas_bo.errors import AebnasError
from aebnas_bo.storage.tensor_file import save_tensors

pytestmark = pytest.mark.slow
COUNT = int(os.environ.get("AEBNAS_BO_MUTATIONS", "30"))
FREE_BYTES = 1 << 30  # what a hostile file may ask for beyond what the process has
DEEP = "[" * 100_000 + "]" * 100_000
NUMBERS = (-1, 0, 1, 2, 7, 255, 4096, 65536, 65537, 10**9, 2**63, 10**30, 0.5, -0.0, 1e308, float("nan"), float("inf"))
VALUES = (*NUMBERS, None, True, "", "final", "exit9", "exit99999999999999999999", "é" * 1000, [], {}, [[]], [None])
FORMATS = ("torch", "onnx", "onnx-segments")


@pytest.fixture(scope="module")
def whole(make_network, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    base = tmp_path_factory.mktemp("whole")

    def folder(format_: str) -> Path:
        target = base / format_
        if not target.exists():
            target.mkdir()
            subnet, description = make_network()
            if format_ == "torch":
                save_network(target / "network.safetensors", subnet, description)
            elif format_ == "onnx":
                write_early_exit(target / "network.onnx", segments(subnet, description), description)
            else:
                names = write_segments(target, segments(subnet, description), description)
                (target / "manifest.json").write_text(json.dumps({"segments": names}))
        return target

    return folder


@contextmanager
def little_memory() -> Iterator[None]:
    """Let the process have no more than a gibibyte more than it has."""
    has = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (has + FREE_BYTES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def places(document: object) -> Iterator[tuple[dict | list, object]]:
    """Every entry of nested dictionaries and lists, as its container and its key."""
    if isinstance(document, dict | list):
        for key in list(document) if isinstance(document, dict) else range(len(document)):
            yield document, key
            yield from places(document[key])


def changed_json(document: object, generator: random.Random) -> str:
    document = copy.deepcopy(document)
    container, key = generator.choice(list(places(document)))
    kind = generator.randrange(8)
    if kind == 0:
        del container[key]
    elif kind == 1 and isinstance(container[key], list):
        container[key] = container[key] * generator.choice([2, 300])
    elif kind == 2:
        container[key] = "DEEP"
        return json.dumps(document).replace('"DEEP"', DEEP)
    elif kind == 3 and isinstance(container, dict):
        container[str(generator.choice(VALUES))] = generator.choice(VALUES)
    else:
        container[key] = generator.choice(VALUES)
    return json.dumps(document)


def mutate_bytes(data: bytes, generator: random.Random, header: int) -> bytes:
    changed = bytearray(data)
    for _ in range(generator.randrange(1, 4)):
        place = generator.randrange(len(changed) if generator.random() < 0.3 else min(header, len(changed)))
        if generator.random() < 0.1:
            del changed[place : place + generator.randrange(1, 64)]
        elif generator.random() < 0.5:
            changed[place] ^= 1 << generator.randrange(8)
        else:
            changed[place : place + 4] = generator.choice([b"\xff" * 4, bytes(4), b"9999", b"\xff\xff\xff\x7f"])
        changed = changed or bytearray(b"\0")
    return bytes(changed)


def mutate_torch(folder: Path, generator: random.Random) -> None:
    path = folder / "network.safetensors"
    kind, data = generator.randrange(4), path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    if kind == 0:
        path.write_bytes(mutate_bytes(data, generator, 8 + length))
        return
    metadata = json.loads(data[8 : 8 + length])["__metadata__"]
    tensors, text = load_file(path), metadata["network"]
    if kind == 1:
        text = changed_json(json.loads(text), generator)
    elif kind == 2:
        text = mutate_bytes(text.encode(), generator, len(text)).decode(errors="replace")
    else:
        name = generator.choice(sorted(tensors))
        other = [tensors[name].double(), tensors[name].half(), tensors[name].to(torch.int64), tensors[name][None],
                 torch.full_like(tensors[name], generator.choice([0, 127, -128])), torch.zeros(0),
                 torch.full(tensors[name].shape, float("nan")), torch.zeros(200_000), None]  # fmt: skip
        tensors[name] = generator.choice(other)
        if tensors[name] is None:
            del tensors[name]
    save_tensors(path, tensors, {"fingerprint": FINGERPRINT, "network": text})


def mutate_onnx(path: Path, generator: random.Random) -> None:
    data = SEAL.sub(UNSEALED.encode(), path.read_bytes())
    kind = generator.randrange(4)
    if kind == 0:
        path.write_bytes(seal(mutate_bytes(data, generator, len(data))))
        return
    model = onnx.load_model_from_string(data)
    [text] = [entry for entry in model.metadata_props if entry.key == DESCRIPTION_KEY]
    if kind == 1:
        text.value = changed_json(json.loads(text.value), generator)
    else:
        for _ in range(generator.randrange(1, 3)):
            mutate_part(generator.choice(all_parts(model)), generator)
    if not [entry for entry in model.metadata_props if entry.key == SEAL_KEY and entry.value == UNSEALED]:
        model.metadata_props.add(key=SEAL_KEY, value=UNSEALED)
    path.write_bytes(seal(model.SerializeToString()))


def all_parts(model: onnx.ModelProto) -> list:
    parts, waiting = [], [model]
    while waiting:
        parts.append(waiting.pop())
        for field, value in parts[-1].ListFields():
            if field.message_type is not None:
                waiting += [value] if hasattr(value, "ListFields") else list(value)
    return parts


def mutate_part(part, generator: random.Random) -> None:
    """Change one field of a protobuf message: another number, text or length, or none at all."""
    set_fields = [field for field, _ in part.ListFields()]
    if not set_fields:
        return
    field = generator.choice(set_fields)
    value = getattr(part, field.name)
    whole_number = generator.choice([-1, 0, 1, 2, 3, 7, 13, 300, 65536, 2**31 - 1, 2**40, 2**62])
    if generator.random() < 0.2:
        part.ClearField(field.name)
    elif field.message_type is not None and hasattr(value, "ListFields"):
        mutate_part(value, generator)
    elif hasattr(value, "append") or hasattr(value, "add"):
        place = generator.randrange(len(value))
        if field.message_type is not None or generator.random() < 0.4:
            del value[place]
        elif isinstance(value[place], str):
            value[place] = generator.choice(["", "images", "no such name", value[generator.randrange(len(value))]])
        else:
            value[place] = whole_number if isinstance(value[place], int) else generator.choice([1e38, 0.0, -1.0])
    elif isinstance(value, bytes):
        changed = generator.choice([b"", value[:-1], value * 2, b"\xff" * len(value)])
        setattr(part, field.name, changed)
    elif isinstance(value, str):
        others = ["", "../../etc/passwd", "Loop", "ConstantOfShape", "Resize", "Range", "Gather", "x" * 3000]
        setattr(part, field.name, generator.choice(others))
    elif field.enum_type is not None:
        setattr(part, field.name, generator.choice(field.enum_type.values).number)
    else:
        kept = whole_number if field.type != field.TYPE_INT32 else whole_number % 20
        setattr(part, field.name, kept if isinstance(value, int) else 1e30)


def mutate(folder: Path, generator: random.Random) -> None:
    manifest = folder / "manifest.json"
    if (folder / "network.safetensors").exists():
        mutate_torch(folder, generator)
    elif manifest.exists() and generator.random() < 0.2:
        document = json.loads(manifest.read_text())
        text = changed_json(document, generator).encode()
        manifest.write_bytes(mutate_bytes(text, generator, len(text)) if generator.random() < 0.3 else text)
    else:
        mutate_onnx(generator.choice(sorted(folder.glob("*.onnx"))), generator)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
@pytest.mark.parametrize("format_", FORMATS)
def test_a_mutated_network_is_used_or_refused_with_one_line(format_: str, whole, pixels, tmp_path: Path) -> None:
    generator, refused, wrong = random.Random(int(os.environ.get("AEBNAS_BO_SEED", "0"))), [], []
    source, num_used = whole(format_), 0
    load(source).predict(pixels[:3])
    with little_memory():
        for number in range(COUNT):
            folder = shutil.copytree(source, tmp_path / "network")
            mutate(folder, generator)
            try:
                load(folder).predict(pixels[:3])
                num_used += 1
            except AebnasError as error:
                refused.append(str(error))
            except Exception as error:
                wrong.append(f"{number}: {type(error).__name__}: {error}"[:300])
            shutil.rmtree(folder)
    wrong += [message for message in refused if "\n" in message or len(message) > 1000 or "alloc" in message]
    assert not wrong, (len(wrong), wrong[:10])
    assert min(num_used, len(refused)) > COUNT / 50, (num_used, len(refused))
