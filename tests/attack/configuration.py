"""Fuzzes what configurations are read from: files, space declarations, methods, stored configurations, `--set` options.

Every case mutates a shipped file and loads it in this process. A case is right if it is refused by a short
`ConfigError`, or accepted twice as the same configuration that survives writing and reading. `python -m
tests.attack.configuration --count 10000 --seed 0` prints what went wrong and one summary line.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import yaml

from aebnas_bo.config.loading import PATHS, dump_config, load_config, parse_config
from aebnas_bo.config.schema import Config
from aebnas_bo.errors import ConfigError
from tests.attack.mutations import mutate_bytes, mutate_structure, mutate_tokens, random_option

ROOT = Path(__file__).resolve().parents[2]
CONFIGURATIONS = (*sorted(ROOT.glob("configs/*.yaml")), *sorted(ROOT.glob("configs/worth/*.yaml")))
SPACES = tuple(sorted(ROOT.glob("aebnas_bo/config/presets/*.yaml")))
METHODS = tuple(sorted(ROOT.glob("aebnas_bo/experiments/comparison/methods/*.yaml")))
MOST_CHARACTERS = 2000  # of a refusal
MOST_SECONDS = 20.0  # of processor time: the largest file that is read takes two

Load = Callable[[], Config]


@dataclass
class Counts:
    """What became of the cases, and one paragraph for each that went wrong."""

    cases: int = 0
    accepted: int = 0
    tracebacks: int = 0
    hangs: int = 0
    wrong: int = 0
    reports: tuple[str, ...] = ()

    @property
    def failures(self) -> int:
        return self.tracebacks + self.hangs + self.wrong

    def __str__(self) -> str:
        return (
            f"configuration: {self.cases} cases, {self.tracebacks} tracebacks, {self.hangs} hangs, {self.wrong} wrong "
            f"results ({self.accepted} accepted)"
        )


class HangError(BaseException):
    """A case took too long; no handler of errors may take it for one of the package."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `HangError` after so many seconds of processor time, or thirty times as many of waiting."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise HangError

    limits = {signal.SIGPROF: (signal.ITIMER_PROF, seconds), signal.SIGALRM: (signal.ITIMER_REAL, 30 * seconds)}
    before = {number: signal.signal(number, stop) for number in limits}
    for timer, limit in limits.values():
        signal.setitimer(timer, limit)
    try:
        yield
    finally:
        for number, (timer, _) in limits.items():
            signal.setitimer(timer, 0)
            signal.signal(number, before[number])


def run_campaign(count: int, seed: int, first: int = 0) -> Counts:
    """Run cases `first` to `first + count - 1`; equal seeds make equal cases, each on its own."""
    counts = Counts()
    with tempfile.TemporaryDirectory() as folder:
        _copy_configurations(Path(folder))
        for number in range(first, first + count):
            _run_case(Path(folder), random.Random(f"{seed}/{number}"), f"case {number} of seed {seed}", counts)
    return counts


def _copy_configurations(folder: Path) -> None:
    """Copy the shipped configurations to where their images are not, as counting these takes seconds."""
    for number, path in enumerate(CONFIGURATIONS):
        (folder / f"{number}.yaml").write_bytes(path.read_bytes())


def _run_case(folder: Path, rng: random.Random, name: str, counts: Counts) -> None:
    counts.cases += 1
    text, load = _case(folder, rng)
    try:
        with time_limit(MOST_SECONDS), warnings.catch_warnings(action="error"):  # they would be on the screen
            problem = check(load, folder, text)
    except HangError:
        counts.hangs += 1
        counts.reports += (f"{name} hangs: {text[:300]!r}",)
    except Exception:
        counts.tracebacks += 1
        counts.reports += (f"{name}: {text[:300]!r}\n{traceback.format_exc(limit=-4)}",)
    else:
        counts.accepted += problem is None
        if problem:
            counts.wrong += 1
            counts.reports += (f"{name}: {problem}: {text[:300]!r}",)


def check(load: Load, folder: Path, text: str) -> str | None:
    """Return what is wrong with how a case is loaded: `None` if it is accepted, empty if it is rightly refused."""
    try:
        config = load()
    except ConfigError as error:
        return _check_refusal(error)
    if load() != config:
        return "loaded twice, it differs"
    if _has_key_twice(text):
        return "accepted although a key stands in it twice"
    written = dump_config(config)
    if parse_config(written, "written") != config:
        return "written and read, it differs"
    (folder / "again.yaml").write_text(written, encoding="utf-8")
    places = [place for place in (config.data.root, config.estimation.latency_table) if place is not None]
    if all(Path(place).is_absolute() for place in places) and load_config(folder / "again.yaml") != config:
        return "written and read as a file, it differs"
    return None


def _check_refusal(error: ConfigError) -> str:
    text = str(error)
    if not error.problems or not all(problem.strip() for problem in error.problems):
        return "refused without a reason"
    if len(text) > MOST_CHARACTERS:
        return f"refused in {len(text)} characters"
    return "" if all(problem.isprintable() for problem in error.problems) else "refused in more than lines of text"


def _has_key_twice(text: str) -> bool:
    """Say so by a reader of its own: that of the package is under attack."""
    try:
        node = yaml.compose(text, Loader=yaml.CBaseLoader)
    except yaml.YAMLError:
        return False  # of a case that is no file
    mappings = [] if node is None else [one for one in _nodes(node) if isinstance(one, yaml.MappingNode)]
    return any(len({key.value for key, _ in one.value}) < len(one.value) for one in mappings)


def _nodes(node: yaml.Node) -> Iterator[yaml.Node]:
    yield node
    if isinstance(node, yaml.SequenceNode):
        for child in node.value:
            yield from _nodes(child)
    elif isinstance(node, yaml.MappingNode):
        for _, child in node.value:
            yield from _nodes(child)


def _case(folder: Path, rng: random.Random) -> tuple[str, Load]:
    """Return the text of a case, for reports, and how it is loaded."""
    kind = rng.choice(["configuration", "configuration", "space", "method", "stored", "options", "options"])
    if kind == "options":
        base = rng.choice([None, *sorted(folder.glob("[0-9]*.yaml"))])
        options = [random_option(rng) for _ in range(rng.randint(1, 3))]
        return repr(options), lambda: _with_options(base, options)
    sources = {"configuration": CONFIGURATIONS, "space": SPACES, "method": METHODS}
    text = rng.choice(sources[kind]).read_text(encoding="utf-8") if kind != "stored" else _stored(rng)
    mutated = _mutated(text, rng)
    path = folder / "mutated.yaml"
    path.write_bytes(mutated)
    shown = mutated.decode("utf-8", errors="replace")
    if kind == "stored":
        return shown, lambda: parse_config(shown, "stored")
    if kind == "space":
        return shown, lambda: load_config(None, [f"space={path}"])
    if kind == "method":
        return shown, lambda: load_config(None, method=path)
    return shown, lambda: load_config(path)


def _with_options(base: Path | None, options: list[str]) -> Config:
    """Load a configuration with options, and see that the last of them has its value in it."""
    config = load_config(base, options)
    path, _, text = options[-1].partition("=")
    found: object = config.model_dump(mode="json")
    for key in path.strip().split("."):
        found = found.get(key) if isinstance(found, dict) else found
    if tuple(path.strip().split(".")) in PATHS and isinstance(found, str):
        text = os.path.abspath(Path(_as_text(text)).expanduser())
    if isinstance(found, str | int | float | bool) and not _stands_for(text, found):
        raise AssertionError(f"{options[-1]!r} became {found!r}")
    return config


def _as_text(text: str) -> str:
    """Return the text that YAML reads; what YAML does not read stands for itself."""
    try:
        return str(yaml.load(text, Loader=yaml.CBaseLoader))
    except yaml.YAMLError:
        return text


def _stands_for(text: str, value: object) -> bool:
    """Say whether an option may stand for a value, by a reader that is not the one under attack."""
    with suppress(ValueError):
        if not isinstance(value, str) and float(text.replace("_", "")) == value:
            return True
    try:
        read = yaml.load(text, Loader=yaml.CBaseLoader)  # every scalar as text
    except yaml.YAMLError:
        return value == text
    words = {True: ("true", "yes", "on"), False: ("false", "no", "off")}
    if isinstance(value, bool):
        return str(read).lower() in words[value]
    if isinstance(value, str):
        return value in (text, read)
    with suppress(ValueError, TypeError):
        return str(value) == read or int(read, 0) == value
    return False


def _stored(rng: random.Random) -> str:
    preset = rng.choice(["tiny", "cifar", "cifar32", "aebnas", "auto"])
    return dump_config(load_config(None, [f"space.preset={preset}"]))


def _mutated(text: str, rng: random.Random) -> bytes:
    mutate = rng.choice([mutate_bytes, mutate_tokens, mutate_tokens, mutate_structure, mutate_structure])
    content = mutate(text, rng)
    return mutate_bytes(content.decode("utf-8", errors="replace"), rng) if rng.random() < 0.1 else content


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000, help="cases")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first case, to repeat one")
    options = parser.parse_args(arguments)
    counts = run_campaign(options.count, options.seed, options.first)
    for report in counts.reports[:50]:
        sys.stdout.write(f"{report}\n")
    sys.stdout.write(f"{counts}\n")
    return 1 if counts.failures else 0


if __name__ == "__main__":
    sys.exit(main())
