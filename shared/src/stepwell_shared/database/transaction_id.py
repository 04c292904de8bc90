"""PostgreSQL's 64-bit transaction id as a column type: what is ordered by it is ordered as it was written."""

from sqlalchemy.types import UserDefinedType


class Xid8(UserDefinedType[int]):
    """PostgreSQL's 64-bit transaction id, which orders what is written and never wraps around."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        return "xid8"
