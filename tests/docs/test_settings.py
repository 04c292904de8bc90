"""Every setting is documented where somebody looks who runs a service."""

from pathlib import Path

from stepwell_shared.settings import Settings

TABLE = Path("deploy/README.md").read_text(encoding="utf-8")


def row(name: str) -> str:
    field = Settings.model_fields[name]
    needed = "yes" if field.is_required() else "no" if field.default in (None, ()) else f"default {field.default}"
    return f"| `STEPWELL_{name.upper()}` | {needed} | {field.description} |"


def test_every_setting_stands_in_the_table_with_its_default_and_meaning() -> None:
    missing = [row(name) for name in Settings.model_fields if row(name) not in TABLE]
    assert not missing, "put these rows into deploy/README.md:\n" + "\n".join(missing)


def test_no_setting_is_documented_that_does_not_exist() -> None:
    documented = {line.split("`")[1] for line in TABLE.splitlines() if line.startswith("| `STEPWELL_")}
    assert documented == {f"STEPWELL_{name.upper()}" for name in Settings.model_fields}


def test_every_setting_has_a_description() -> None:
    assert all(field.description for field in Settings.model_fields.values())
