"""What the running service says of its tables is what is declared."""

from stepwell_screening.schema.form_links import FormLink
from stepwell_screening.use_cases.form_links import Link


def test_a_link_has_the_columns_of_its_table() -> None:
    assert Link._fields == tuple(FormLink.metadata.tables["form_link"].columns.keys())
