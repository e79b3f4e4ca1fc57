"""Channels and number of classes of a study's images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationError

from aebnas_bo.errors import CorruptStateError, first_problem
from aebnas_bo.storage.atomic_files import write_text
from aebnas_bo.storage.frozen_model import FrozenModel
from aebnas_bo.storage.regular_files import read_regular

MOST_BYTES = 1 << 20


class ImageShape(FrozenModel):
    """Channels and number of classes, stored in the run folder.

    Args:
        channels: Channels of an image.
        classes: Number of classes.
    """

    channels: Annotated[int, Field(ge=1)]
    classes: Annotated[int, Field(ge=1)]

    def write(self, path: Path) -> None:
        """Write the file."""
        write_text(path, self.model_dump_json() + "\n")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the file.

        Raises:
            CorruptStateError: If the file is missing or damaged.
        """
        way_out = "restore it from a backup or start a new run folder"
        try:
            return cls.model_validate_json(read_regular(path, MOST_BYTES))
        except OSError as error:
            raise CorruptStateError(f"{path} cannot be read ({error.strerror}); {way_out}") from error
        except ValidationError as error:
            raise CorruptStateError(f"{path} is damaged ({first_problem(error)}); {way_out}") from error
