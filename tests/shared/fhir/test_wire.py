"""What a request says before its body is looked at."""

from urllib.parse import parse_qsl

from hypothesis import given
from hypothesis import strategies as st
from stepwell_shared.fhir.wire import UNQUOTED_REMEMBERED_MAX, query_parameters

TEXTS = st.text(alphabet="ab&=%+4C7é;|", max_size=24) | st.sampled_from(["a=" + "%7C" * UNQUOTED_REMEMBERED_MAX, "=&="])


@given(TEXTS)
def test_a_query_reads_as_the_standard_library_reads_it(text: str) -> None:
    for _ in range(2):  # what is remembered reads the same
        assert query_parameters(text) == parse_qsl(text, keep_blank_values=True)
