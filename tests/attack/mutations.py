"""Random damage to YAML texts, and random `--set` options."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable

import yaml

from aebnas_bo.config.effects import all_settings

Container = dict[str, object] | list[object]

VALUES = (
    "2026-13-45", "2020-01-01", "2020-01-01 99:99:99", "!!int abc", "!!binary '%%%'", "!!float x", "!!set {a}",
    "!!python/object/apply:os.getcwd []", "!!timestamp x", "!!omap [1]", "!!null x", "! x", "!", "*a", "&a", "&a [*a]",
    "&a {b: *a}", "<<: *a", "{<<: 3}", "{<<: {budget: 3}}", "'\\0'", '"\\0"', '"\\ud800"', '"\\ud83d\\ude00"',
    '"\\x07"',
    "~", "~nouser/x", "~/x", "null", "yes", "no", "on", "off", "True", "nO", "1e-3", "1e-5", "'1e-3'", "'3'", "3.0",
    "1e3", "1e400", "-1e400", "1e-400", ".inf", "-.inf", ".nan", "NaN", "Infinity", "0", "-0", "-1", "010", "0o17",
    "0x1F", "0b11", "1_000", "1:30", "190:20:30", "+5", "''", "' '", "{}", "[]", "[[]]", "{a: }", "? a", "- a", "a: b",
    "a: b: c", "a #b", "#", "|", ">", "%", "@", "`", "---", "...", "\t", "\\", "'", '"', "[", "]", "{", "}", "é",
    "\u2028",
    "\ufeff", "\x85", "\U0001f600", "٣", "../../x", "/dev/null", "x\ny", "{budget: 1, budget: 2}", "=", "4294967297",
    "9" * 70, "9" * 5000, "-" + "9" * 4301, "0." + "1" * 3000, "x" * 3000, "a/" * 2000, "x" * 200_000, "[" * 3000,
    "[" * 40 + "]" * 40, "{a: " * 3000, "- " * 3000, "[" + "1, " * 900 + "1]", "((((" * 400, "a{99999999999}",
    "(?P<x>",
    "tiny", "auto", "cifar32", "digits", "imagefolder", "mine.yaml", "nowhere.yaml", "mutated.yaml", "learned",
    "tuned",
)  # fmt: skip
LAUGHS = "\n".join(
    ["l0: &l0 [x, x, x, x, x, x, x, x]", *(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 8)}]" for n in range(1, 10))]
)
FRAGMENTS = (b"\x00", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"\r", b"\t", b"\n\n", b": ", b"- ", b"#", b"&a ", b"*a",
             b"!!int ", b"'", b'"', b"\xc2\x85", b"\xe2\x80\xa8", b"\x1b[31m", b"%YAML 9.9\n", b"---\n", b"...\n",
             b"? ",
             b"<<: ", b"|\n", b"{", b"[", b"}", b"]", b",", b"9" * 5000)  # fmt: skip
KEYS = ("distillation", "budgt", "epochs", "<<", "1", "x" * 300, "no", "crop_padding", "é\n")
TOKEN = re.compile(r"\s+|[\w.\-]+|.", re.DOTALL)
SETTINGS = tuple(path for path, _ in all_settings())


def mutate_bytes(text: str, rng: random.Random) -> bytes:
    content = bytearray(text.encode("utf-8", errors="replace"))
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        place, end = sorted(rng.randint(0, len(content)) for _ in range(2))
        match rng.randrange(6):
            case 0:
                content[place:place] = rng.choice(FRAGMENTS)
            case 1:
                del content[place : min(end, place + 20)]
            case 2:
                content[place : place + 1] = bytes([rng.randrange(256)])
            case 3:
                content += content[place:end]
            case 4:
                del content[end:]
            case _:
                content[place:place] = content[place : min(end, place + 200)]
    return bytes(content)


def mutate_tokens(text: str, rng: random.Random) -> bytes:
    tokens = TOKEN.findall(text)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        place = rng.randrange(len(tokens))
        match rng.randrange(5):
            case 0 | 1:
                words = [number for number, token in enumerate(tokens) if token[:1].isalnum()]
                tokens[rng.choice(words) if words else place] = rng.choice(VALUES)
            case 2:
                del tokens[place]
                tokens = tokens or [""]
            case 3:
                tokens.insert(place, rng.choice(tokens))
            case _:
                tokens.insert(place, rng.choice(VALUES))
    return "".join(tokens).encode("utf-8", errors="surrogatepass")


def mutate_structure(text: str, rng: random.Random) -> bytes:
    """Change the tree of a text; what YAML has besides trees is put into the text that is written of it."""
    tree = yaml.safe_load(text)
    marks: dict[str, str] = {}
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        _mutate_tree(tree, rng, marks)
    written = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, default_flow_style=rng.choice([None, False]))
    for mark, value in marks.items():
        written = written.replace(mark, value)
    if rng.random() < 0.1:
        written += rng.choice([LAUGHS, f"\n{written}", *(f"\n{line}" for line in written.splitlines()[:3])])
    return written.encode("utf-8", errors="surrogatepass")


def random_option(rng: random.Random) -> str:
    path = rng.choice(SETTINGS) if rng.random() < 0.6 else rng.choice(_space_paths(rng))
    if rng.random() < 0.15:
        path = rng.choice([f"{path}.0", f"{path}.x.y", path.rpartition(".")[0], path[:-1], f".{path}", path.upper(),
                           path.replace(".", ".9."), "a." * 500 + "a", "search", "space", ""])  # fmt: skip
    return path if rng.random() < 0.02 else f"{path}={_option_value(rng)}"


def _space_paths(rng: random.Random) -> list[str]:
    number, layer = rng.randint(0, 4), rng.choice(["0", "1", "٣", "9" * 5000])
    names = ("widths", "depths", "kernels", "expansions", "stride", "kinds")
    return [
        "space.preset", "space.resolutions", "space.stem_channels", "space.branch", "space.branch_kinds",
        "space.thresholds", "space.squeeze_excitation", "space.stages", "space.exits", f"space.stages.{layer}.widths",
        *(f"space.stages.{number}.{name}" for name in names), f"space.exits.{number}.threshold",
        f"space.exits.{number}.depths", f"space.exits.{number}.layers.{layer}.kinds",
    ]  # fmt: skip


def _option_value(rng: random.Random) -> str:
    value = rng.choice(VALUES)
    simple: tuple[Callable[[], str], ...] = (
        lambda: value,
        lambda: json.dumps(value),
        lambda: f"[{value}]",
        lambda: f"{{a: {value}}}",
        lambda: json.dumps([rng.randint(1, 9) for _ in range(rng.randint(0, 4))]),
        lambda: str(rng.randint(-2, 300)),
        lambda: repr(rng.uniform(-1, 2) * 10 ** rng.randint(-9, 9)),
        lambda: rng.choice(["\udcff", "\x00", "a\nb: c", "{a: 1, a: 2}", "[{kind: dense}]", "[dense]", "true"]),
    )
    return rng.choice(simple)()


def _mutate_tree(tree: object, rng: random.Random, marks: dict[str, str]) -> None:
    """Change one place of a tree, in place."""
    places = _containers(tree)
    if not places:
        return
    node = rng.choice(places)
    keys: list[str] | list[int] = list(node) if isinstance(node, dict) else list(range(len(node)))
    if not keys:
        return
    key = rng.choice(keys)
    match rng.randrange(8):
        case 0:
            del node[key]
        case 1 if isinstance(node, dict):
            node[rng.choice(KEYS)] = node[key]
        case 2 if isinstance(node, dict):
            node[str(key)[:-1]] = node.pop(str(key))
        case 3:
            node[key] = [node[key]]
        case 4:
            node[key] = {"a": node[key]}
        case 5:
            node[key] = rng.choice(places)
        case _:
            mark = f"MARK{len(marks)}MARK"
            marks[mark] = rng.choice(VALUES)
            node[key] = mark


def _containers(tree: object) -> list[Container]:
    """Return all mappings and lists of a tree, each once although a mutation may have made it a part of itself."""
    found: dict[int, Container] = {}
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict | list) and id(node) not in found:
            found[id(node)] = node
            waiting += node.values() if isinstance(node, dict) else node
    return list(found.values())
