"""How the tables of the engine and their columns are called. What they are made of is in `schema` and `tables`."""

from stepwell_shared.fhir.parameters import SearchParameter, Storage

VERSION_TABLE = "fhir_version"
IDEMPOTENCY_TABLE = "idempotency_key"
SHAPE_TABLE = "search_shape"


def current_table(resource_type: str) -> str:
    return f"fhir_{resource_type.lower()}"


def index_table(resource_type: str) -> str:
    return f"{current_table(resource_type)}_index"


def number_table(resource_type: str) -> str:
    return f"{current_table(resource_type)}_number"


def column_names(parameter: SearchParameter) -> tuple[str, ...]:
    """The columns that keep a parameter which is not kept in rows."""
    if parameter.storage is Storage.DATE_COLUMNS:
        return f"{parameter.column}_low", f"{parameter.column}_high"
    if parameter.storage is Storage.CODED:
        return parameter.column, f"{parameter.column}_system", f"{parameter.column}_display"
    return (parameter.column,)
