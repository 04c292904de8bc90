"""What a database's URL says of the way there is taken out of it before a driver reads it."""

import pytest
from stepwell_shared.database.address import Pooler, address_of, listening_url

PLAIN = "postgresql://u:p%40w@one:5432,two:5432/stepwell?target_session_attrs=read-write"


def test_a_pooler_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="transaction-prepared"):
        address_of("postgresql://u@h/d?pooler=session")


@pytest.mark.parametrize("url", [PLAIN, "postgresql://u:p@/d?host=/run/postgresql&port=5433", "postgresql://u@h/d"])
def test_a_url_without_a_pooler_stays_as_it_is(url: str) -> None:
    found = address_of(url)
    assert (found.url, found.pooler) == (url, Pooler.NONE)
    assert found.keeps_statements
    assert found.can_listen


@pytest.mark.parametrize("url", [PLAIN, "postgresql://u:p@/d?host=/run/postgresql&port=5433"])
def test_the_pooler_is_not_told_to_the_server(url: str) -> None:
    assert address_of(f"{url}&pooler=transaction").url == url
    assert address_of("postgresql://u@h/d?pooler=transaction").url == "postgresql://u@h/d"


def test_only_a_pooler_that_knows_statements_is_given_some_to_keep() -> None:
    assert not address_of("postgresql://u@h/d?pooler=transaction").keeps_statements
    assert address_of("postgresql://u@h/d?pooler=transaction-prepared").keeps_statements


def test_behind_a_pooler_nobody_listens_but_by_the_direct_way() -> None:
    for pooler in ("transaction", "transaction-prepared"):
        assert listening_url(f"postgresql://u@h/d?pooler={pooler}", None) is None
        assert (
            listening_url(f"postgresql://u@h/d?pooler={pooler}", "postgresql://u@direct/d") == "postgresql://u@direct/d"
        )
    assert listening_url("postgresql://u@h/d", None) == "postgresql://u@h/d"


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(address_of("postgresql://u:secret@h/d?pooler=transaction"))
