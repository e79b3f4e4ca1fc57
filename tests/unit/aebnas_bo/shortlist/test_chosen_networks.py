from pathlib import Path

import pytest

from aebnas_bo.early_exit.threshold_tuning import TuningGoal
from aebnas_bo.errors import CorruptStateError
from aebnas_bo.shortlist.chosen_networks import ChosenNetworks
from aebnas_bo.shortlist.contenders import Pool
from aebnas_bo.storage.sealed_json import write_sealed

from .conftest import contender

GOAL = TuningGoal("max_macs", 1e9)
POOL = Pool((), tuple(contender(key, 8, GOAL) for key in "abc"), ())


def test_a_choice_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "chosen" / "one.json"
    assert ChosenNetworks.read(path) == ChosenNetworks()
    chosen = ChosenNetworks(keys=("c", "a"), trainings=4, correlation=0.625)
    chosen.write(path)
    assert ChosenNetworks.read(path) == chosen
    listed = chosen.networks(POOL, path)
    assert [(one.key, one.origin) for one in listed] == [("c", "surrogate"), ("a", "surrogate")]


def test_a_changed_choice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    ChosenNetworks(keys=("c",)).write(path)
    path.write_text(path.read_text().replace('"c"', '"b"'))
    with pytest.raises(CorruptStateError, match=r"one\.json does not match its own hash.*delete it"):
        ChosenNetworks.read(path)
    write_sealed(path, {"networks": ["c"]})
    with pytest.raises(CorruptStateError, match=r"one\.json is not a choice of networks .*networks.*delete it"):
        ChosenNetworks.read(path)
    with pytest.raises(CorruptStateError, match=r"one\.json names d, which the search did not find; delete it"):
        ChosenNetworks(keys=("a", "d")).networks(POOL, path)
