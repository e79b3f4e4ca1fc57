"""Settings of the supernet and its training."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from aebnas_bo.storage.frozen_model import Affects, Effect
from aebnas_bo.training.settings import TrainingConfig


class SupernetConfig(TrainingConfig):
    """How the weight-sharing supernet is trained; the losses of a step's networks are added.

    Args:
        sandwich: Whether every step takes the largest and the smallest network; else random ones in their place.
        random_subnets: Random sub-networks per step beside those two.
        distillation: Whether all other networks learn from the largest one's final exit in place of the labels.
        balanced_branches: Whether every choice of a branch is trained as often as every other, at any backbone.
        stratified: Whether random networks are spread evenly over log MACs; else every choice is drawn uniformly.
        max_macs: Most MACs in millions, up to the final classifier, of a network that is trained, the teacher
            included. Null takes two and a half times `search.max_average_macs` and, where that is null too, the whole
            space. Needs `stratified`.
        cache: Whether an equally configured supernet trained before is reused.
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
                "by joint_loss the final exit learns from the images that get there alone, which makes it no teacher; "
                "set distillation: false"
            )
        return self
