"""Schema of the configuration; the settings of each section are declared in the package that they configure."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from aebnas_bo.data.settings import AugmentationConfig, DataConfig
from aebnas_bo.estimation.settings import EstimationConfig
from aebnas_bo.execution.settings import ExecutionConfig
from aebnas_bo.experiments.rank_correlation.settings import FidelityConfig
from aebnas_bo.search.settings import SearchConfig
from aebnas_bo.shortlist.settings import ShortlistConfig
from aebnas_bo.space.declaration import NetworkSpaceDeclaration
from aebnas_bo.storage.folder_names import folder_name_problem
from aebnas_bo.storage.frozen_model import Affects, Effect, Section, refuse
from aebnas_bo.storage.shared_study import database_url_problem
from aebnas_bo.supernet.settings import SupernetConfig
from aebnas_bo.tracking.settings import TrackingConfig
from aebnas_bo.training.settings import FinalTrainingConfig, TrainingConfig


class Config(Section):
    """Configuration of a run.

    Args:
        name: Name of the study and prefix of its run folder, so path separators and similar characters are invalid.
        seed: Seed of training, initial design and proposals.
        device: Device to run networks on.
        num_threads: CPU threads of training and evaluation; proposals always use one.
        time_budget: Minutes from the start of a run to its trained networks, divided between supernet, search, short
            list and final trainings. It decides `supernet.epochs`, the epochs of `shortlist.rungs` and
            `final_training.epochs`; `search.budget` stays an upper limit. null searches `search.budget` trials and
            trains no network.
        storage: Database of the trials: null for a file in the run folder, or the URL of a PostgreSQL database, which
            holds many studies (`postgresql+psycopg://USER@HOST/DATABASE`). The URL holds no password: set PGPASSWORD or
            add a line to `~/.pgpass`. Needs the extra `postgres`.
        space: Search space: a preset (`space: auto`), or a declaration.
    """

    affects: ClassVar[Effect] = "supernet"

    name: Annotated[str, Field(min_length=1, max_length=80), Affects("nothing")] = "digits"
    seed: Annotated[int, Field(ge=0, le=2**32)] = 0
    device: Annotated[Literal["cpu", "cuda", "auto"], Affects("machine")] = "auto"
    num_threads: Annotated[int, Field(ge=1, le=256), Affects("machine")] = 1
    time_budget: Annotated[float, Field(gt=0.0, le=100000.0)] | None = None
    storage: Annotated[str | None, Affects("place")] = None
    data: DataConfig = DataConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    space: NetworkSpaceDeclaration
    supernet: SupernetConfig = SupernetConfig()
    final_training: FinalTrainingConfig = FinalTrainingConfig()
    estimation: EstimationConfig = EstimationConfig()
    shortlist: ShortlistConfig = ShortlistConfig()
    fidelity: FidelityConfig = FidelityConfig()
    search: SearchConfig = SearchConfig()
    execution: ExecutionConfig = ExecutionConfig()
    tracking: TrackingConfig = TrackingConfig()

    def augmentation_of(self, training: TrainingConfig) -> AugmentationConfig:
        """Return the augmentation of a training: that of its own section, or else that of the study.

        Args:
            training: Section of the training.
        """
        return training.augmentation or self.augmentation

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        problem = folder_name_problem(name)
        if problem is not None:
            raise ValueError(f"{problem}; it names the run folder: use letters, digits, - and _")
        return name

    @field_validator("storage")
    @classmethod
    def _check_storage(cls, url: str | None) -> str | None:
        problem = None if url is None else database_url_problem(url)
        if problem is not None:
            raise PydanticCustomError("not_shown", "{problem}", {"problem": problem})
        return url

    @model_validator(mode="after")
    def _check(self) -> Config:
        problems = problems_between(self.space, self.estimation, self.supernet, final_training=self.final_training)
        problems += problems_of_latencies(self.estimation, self.search)
        refuse([*problems, *(self._problems_with_backbone() if self.space.backbone is not None else [])])
        return self

    def _problems_with_backbone(self) -> list[str]:
        """Return settings that a given backbone does not allow."""
        problems = []
        if self.final_training.teacher_source == "supernet":
            problems.append(
                "final_training.teacher: the supernet of a given backbone consists of branches and is no teacher; set "
                "it to {source: original} to learn from the backbone as it was given"
            )
        for name, training in (("supernet", self.supernet), ("final_training", self.final_training)):
            if training.processes > 1:
                problems.append(f"{name}.processes: exits of a given backbone are trained by one process; set it to 1")
        return problems


def problems_between(
    space: NetworkSpaceDeclaration | None,
    estimation: EstimationConfig | None,
    supernet: SupernetConfig | None,
    *,
    final_training: FinalTrainingConfig | None,
) -> list[str]:
    """Return inconsistencies between sections; an invalid section is `None` and skipped."""
    problems: list[str] = []
    if estimation is not None and estimation.confidence == "learned":
        if space is not None and not space.learned_confidence:
            problems.append(
                "estimation.confidence: learned needs a confidence output; set space.learned_confidence: true"
            )
        if supernet is not None and supernet.joint_loss is None:
            problems.append("estimation.confidence: learned needs a loss that trains it; set supernet.joint_loss: {}")
    if space is not None and space.backbone is None and final_training is not None:
        problems += _settings_of_given(final_training)
    for name, training in (("supernet", supernet), ("final_training", final_training)):
        if training is not None:
            problems += _problems_of_training(name, training, space)
    return problems


def problems_of_latencies(estimation: EstimationConfig | None, search: SearchConfig | None) -> list[str]:
    """Return why a latency table would have no effect; an invalid section is `None` and skipped."""
    if estimation is None or search is None or estimation.latency_table is None or search.has_latency:
        return []
    return [
        "estimation.latency_table: has no effect if latency is not measured; set search.objectives: [accuracy, "
        "average_macs, latency_ms], or a limit search.max_latency_ms, or estimation.latency_table: null"
    ]


def _settings_of_given(final_training: FinalTrainingConfig) -> list[str]:
    """Return settings of the final training that need a given backbone."""
    problems = []
    if final_training.teacher_source == "original":
        problems.append(
            "final_training.teacher: the source original needs a given backbone; set space.backbone, or another source"
        )
    if final_training.backbone_rate > 0:
        problems.append(
            "final_training.backbone_rate: has no effect on a searched backbone, which learns as exits do; set it to 0"
        )
    return problems


def _problems_of_training(name: str, training: TrainingConfig, space: NetworkSpaceDeclaration | None) -> list[str]:
    problems: list[str] = []
    weights = training.exit_weights
    if training.joint_loss is not None and space is not None and not space.learned_confidence:
        problems.append(
            f"{name}.joint_loss trains confidences: set space.learned_confidence: true, or remove {name}.joint_loss"
        )
    if training.joint_loss is not None and (weights is not None or training.exit_distillation):
        problems.append(
            f"{name}.joint_loss determines the weights of outputs; set {name}.exit_weights: null and "
            f"{name}.exit_distillation: false"
        )
    is_known = space is not None and (space.backbone is None or space.backbone.found is not None)
    expected = len(space.exits) + 1 if space is not None and is_known else None
    if weights is not None and expected is not None and (len(weights) != expected or not weights[-1] > 0):
        problems.append(
            f"{name}.exit_weights: expected one weight per exit position and a positive one for the final "
            f"classifier, {expected} in all, got {list(weights)}"
        )
    return problems
