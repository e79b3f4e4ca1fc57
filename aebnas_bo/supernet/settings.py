"""Settings of the supernet and its training."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from aebnas_bo.storage.frozen_model import Affects, Effect
from aebnas_bo.training.settings import TrainingConfig


class SupernetConfig(TrainingConfig):
    """Training of the weight-sharing supernet; the losses of a step's networks are added.

    Args:
        sandwich: Whether every step trains the largest and the smallest network; otherwise it trains random ones.
        random_subnets: Random sub-networks per step, in addition to those two.
        distillation: Whether the other networks are trained on the largest one's outputs instead of labels.
        balanced_branches: Whether all choices of a branch are trained equally often, for every backbone.
        stratified: Whether random networks are spread evenly over log MACs; otherwise choices are drawn uniformly.
        max_macs: Maximum MACs in millions, up to the final classifier, of trained networks including the teacher. null
            takes two and a half times `search.max_average_macs` or, without that, sets no maximum. Needs `stratified`.
        cache: Whether to reuse a supernet trained earlier with equal settings.
    """

    affects: ClassVar[Effect] = "supernet"

    epochs: Annotated[int, Field(ge=1, le=10000)] = 30
    batch_size: Annotated[int, Field(ge=2, le=8192)] = 32
    learning_rate: Annotated[float, Field(gt=0.0, le=10.0)] = 0.2
    sandwich: bool = True
    random_subnets: Annotated[int, Field(ge=0, le=16)] = 2
    distillation: bool = True
    balanced_branches: bool = True
    stratified: bool = True
    max_macs: Annotated[float, Field(gt=0.0)] | None = None
    cache: Annotated[bool, Affects("nothing")] = True

    @model_validator(mode="after")
    def _check(self) -> SupernetConfig:
        if self.distillation and not self.sandwich:
            raise ValueError(
                "distillation needs the sandwich rule, whose largest network is the teacher; set sandwich: true or "
                "distillation: false"
            )
        if self.max_macs is not None and not self.stratified:
            raise ValueError("max_macs chooses among stratified draws; set stratified: true or max_macs: null")
        if self.distillation and self.joint_loss is not None:
            raise ValueError(
                "distillation cannot be combined with joint_loss, because the final exit then learns hard images "
                "only; set distillation: false"
            )
        return self
