from pathlib import Path

import pytest

from aebnas_bo.errors import DataError, SearchSpaceError
from aebnas_bo.estimation.tabular_estimator import TabularEstimator
from aebnas_bo.testing.estimator_contract import EstimatorContract

TABLE = "width,kind,accuracy,average_macs\n8,dense,80.5,1\n16,dense,85,2\n8,dw,78,0.5\n16,dw,84,1.25\n"
METRICS = ("accuracy", "average_macs")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    path.write_text(TABLE, encoding="utf-8")
    return path


def test_rows_are_looked_up(table: Path) -> None:
    estimator = TabularEstimator.from_csv(table, METRICS)
    estimate = estimator.estimate({"width": 16, "kind": "dw"})
    assert estimate.raw_data == {"accuracy": (84.0, 0.0), "average_macs": (1.25, 0.0)}


def test_numbers_are_ordered_and_words_are_not(table: Path) -> None:
    width, kind = TabularEstimator.from_csv(table, METRICS).search_space.parameters
    assert (width.values, width.is_ordered) == ((8, 16), True)
    assert (kind.values, kind.is_ordered) == (("dense", "dw"), False)


def test_a_byte_order_mark_and_spaces_are_no_part_of_names(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("\ufeffa, accuracy\n1, 5\n2, 6\n", encoding="utf-8")
    estimator = TabularEstimator.from_csv(path, ("accuracy",))
    assert estimator.search_space.names == ("a",)
    assert estimator.estimate({"a": 2}).raw_data == {"accuracy": (6.0, 0.0)}


def test_missing_combination_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b,accuracy\n1,x,5\n2,y,6\n", encoding="utf-8")
    with pytest.raises(SearchSpaceError, match="no row"):
        TabularEstimator.from_csv(path, ("accuracy",)).estimate({"a": 1, "b": "y"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,accuracy\n1,2\n", "single value"),
        ("a,b\n1,2\n", "expected columns"),
        ("accuracy\n1\n", "at least one choice"),
        ("", "expected columns"),
        ("a,accuracy\n1,x\n2,3\n", "line 2: accuracy must be a finite number"),
        ("a,accuracy\n1,nan\n2,3\n", "finite"),
        ("a,accuracy\n1,2\n1,3\n", "line 3 repeats"),
        ("a,accuracy\n1,2\n,3\n", "empty cell"),
        (",a,accuracy\n0,1,2\n", r"column 1 has no name; .*to_csv\(index=False\)"),
        ("a,b,a,accuracy\n1,2,3,4\n", "column a appears twice"),
        ("a,accuracy\n1,2\n\n3,4,9\n", "line 4 has 3 cells, the header has 2"),
        ("a,accuracy\n1,2\n3\n", "line 3 has 1 cells, the header has 2"),
        ("a;accuracy\n1;2\n", "got .'a;accuracy'.; separate cells by commas"),
        ("a,accuracy\n", "has a header but no rows"),
    ],
)
def test_bad_tables_are_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        TabularEstimator.from_csv(path, ("accuracy",))


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere"):
        TabularEstimator.from_csv(tmp_path / "nowhere.csv", METRICS)


class TestContract(EstimatorContract):
    @pytest.fixture
    def estimator(self, table: Path) -> TabularEstimator:
        return TabularEstimator.from_csv(table, METRICS)
