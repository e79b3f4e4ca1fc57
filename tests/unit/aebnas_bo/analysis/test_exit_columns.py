from dataclasses import replace

from aebnas_bo.analysis.exit_columns import exit_columns, exit_figures
from aebnas_bo.config.loading import load_config
from aebnas_bo.early_exit.calibrated_output import Calibration
from aebnas_bo.estimation.estimate import OperatingPoint
from aebnas_bo.search.trial import Observation, Trial
from aebnas_bo.space.network_space import NetworkSpace

POINT = OperatingPoint(
    {}, {}, {"exit1": 0.5, "exit2": 0.0, "final": 0.5}, {"exit1_threshold": 0.25}, {"final": Calibration(1.5, 4.0, 2.0)}
)
RATES = ("exit1_rate", "exit2_rate", "final_rate")


def columns(*settings: str, has_calibrations: bool = False) -> tuple[str, ...]:
    return exit_columns(NetworkSpace(load_config(None, settings).space, 1, 10), has_calibrations)


def test_thresholds_have_columns_where_they_are_no_parameters() -> None:
    assert columns() == RATES
    assert columns("space.thresholds=tuned") == (*RATES, "exit1_threshold", "exit2_threshold")
    assert columns("space.thresholds=[0.4]") == (*RATES, "exit1_threshold", "exit2_threshold")
    assert columns("space.exits=[]") == ("final_rate",)


def test_every_output_has_columns_of_its_calibration_where_there_is_one() -> None:
    found = columns("space.thresholds=tuned", has_calibrations=True)
    assert found[3:6] == ("exit1_threshold", "exit2_threshold", "exit1_temperature")
    assert found[-3:] == ("final_temperature", "final_calibration_error_before", "final_calibration_error_after")
    assert len(found) == 3 + 2 + 3 * 3


def test_figures_go_by_the_names_of_their_columns() -> None:
    calibrated = {
        "final_temperature": 1.5, "final_calibration_error_before": 4.0, "final_calibration_error_after": 2.0,
    }  # fmt: skip
    rates = {"exit1_rate": 0.5, "exit2_rate": 0.0, "final_rate": 0.5}
    tuned = Trial(0, "abc", "COMPLETED", {"exit1_depth": 1}, points=(POINT,))
    found = exit_figures(Observation(tuned))
    assert list(found.items()) == list({**rates, **calibrated, "exit1_threshold": 0.25}.items())
    assert set(found) <= set(columns("space.thresholds=tuned", has_calibrations=True))
    as_parameter = replace(tuned, parameters={"exit1_depth": 1, "exit1_threshold": 0.25})
    assert exit_figures(Observation(as_parameter)) == {**rates, **calibrated}
