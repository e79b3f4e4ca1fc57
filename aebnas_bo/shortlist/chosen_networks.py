"""Networks that the surrogate chose for a first rung, stored so that a resumed short list has the same networks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from aebnas_bo.errors import CorruptStateError, first_problem
from aebnas_bo.shortlist.contenders import Contender, Pool
from aebnas_bo.storage.sealed_json import read_sealed, write_sealed

WAY_OUT = "delete it, and the command that trains the short list chooses again"


class ChosenNetworks(BaseModel):
    """Networks that the surrogate chose for a first rung.

    Args:
        keys: Their keys, in the order of choice.
        trainings: Number of trained networks in the last model.
        correlation: Correlation of estimates and short trainings as learned by it; null without a model.
        failure: Why the surrogate could not choose; empty if it could.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: tuple[str, ...] = ()
    trainings: int = 0
    correlation: float | None = None
    failure: str = ""

    def write(self, path: Path) -> None:
        """Write the choice and create its folder."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_sealed(path, self.model_dump(mode="json"))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a choice; without a file, nothing is chosen.

        Raises:
            CorruptStateError: If the file is damaged or not a choice.
        """
        if not path.exists():
            return cls()
        try:
            return cls.model_validate(read_sealed(path, WAY_OUT))
        except ValidationError as error:
            raise CorruptStateError(
                f"{path} is not a choice of networks ({first_problem(error)}); {WAY_OUT}"
            ) from error

    def networks(self, pool: Pool, path: Path) -> list[Contender]:
        """Return the chosen networks.

        Args:
            pool: The networks of the search.
            path: The file, for messages.

        Raises:
            CorruptStateError: If one is not in the pool.
        """
        by_key = {one.key: one for one in pool.ranked}
        if missing := [key for key in self.keys if key not in by_key]:
            raise CorruptStateError(f"{path} names {missing[0]}, which the search did not find; {WAY_OUT}")
        return [replace(by_key[key], origin="surrogate") for key in self.keys]
