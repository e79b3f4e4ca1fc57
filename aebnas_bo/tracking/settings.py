"""Settings of trackers."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import field_validator

from aebnas_bo.storage.frozen_model import Effect, Section

TrackerName = Literal["tensorboard", "mlflow"]


class TrackingConfig(Section):
    """Trackers that receive the figures of a run while it runs.

    Args:
        trackers: `tensorboard` writes event files to `tensorboard/` in the run folder, `mlflow` writes to the database
            `mlflow.db` in the run folder or to `mlflow_uri`. A tracker that fails is switched off with a warning.
        mlflow_uri: Tracking server or database, such as `http://host:5000` or `sqlite:////data/mlflow.db`; null uses
            `mlflow.db` in the run folder.
        mlflow_experiment: Name of the experiment that the run is added to; null uses the name of the study.
    """

    affects: ClassVar[Effect] = "nothing"

    trackers: tuple[TrackerName, ...] = ()
    mlflow_uri: str | None = None
    mlflow_experiment: str | None = None

    @field_validator("mlflow_uri")
    @classmethod
    def _check_uri(cls, uri: str | None) -> str | None:
        if uri is not None and "://" not in uri:
            raise ValueError(
                f"expected a server or a database such as http://host:5000 or sqlite:////data/mlflow.db, got {uri!r}; "
                "MLflow's store of plain files is deprecated"
            )
        return uri
