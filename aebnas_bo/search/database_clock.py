"""Clock of the database: leases are compared by one clock, whichever machine asks."""

from __future__ import annotations

from sqlalchemy import Float
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

SQLITE = "((julianday('now') - 2440587.5) * 86400.0)"  # 1970-01-01 is day 2440587.5
POSTGRESQL = "CAST(extract(epoch FROM clock_timestamp()) AS double precision)"  # now() is the start of the transaction


class DatabaseClock(FunctionElement[float]):
    """Seconds since 1970 by the database's clock, as an SQL expression."""

    type = Float()
    inherit_cache = True


@compiles(DatabaseClock)
def _default(element: DatabaseClock, compiler: SQLCompiler, **_: object) -> str:  # noqa: ARG001  SQLAlchemy's signature
    return SQLITE


@compiles(DatabaseClock, "postgresql")
def _postgresql(element: DatabaseClock, compiler: SQLCompiler, **_: object) -> str:  # noqa: ARG001
    return POSTGRESQL
