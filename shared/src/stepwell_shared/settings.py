"""Settings that every service has, read from the environment with the prefix STEPWELL_.

Add one: a typed field with its unit last in the name and a description; required ones have no default.
"""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

SERVICES = ("screening", "routing", "referral", "measurement")
# The one that partner organisations speak with.
EXCHANGING_SERVICE = "referral"
# The one that sends figures to those of them that take them.
REPORTING_SERVICE = "measurement"
# Set for services that are started as children: they stop when their standard input ends.
ATTACHED = "STEPWELL_ATTACHED"


class Settings(BaseSettings):
    """What one service process needs to know. A missing required variable stops the start with its name."""

    model_config = SettingsConfigDict(env_prefix="STEPWELL_", secrets_dir=None, extra="ignore", frozen=True)

    database_url: SecretStr = Field(
        description="PostgreSQL URL of this service's database, with the runtime login; ends in ?pooler=transaction"
        " behind a transaction pooler"
    )
    service_key_file: Path = Field(description="private JWK with which this service asks for its own tokens")
    screening_url: str = Field(description="public base URL of screening, such as https://host/screening/fhir")
    routing_url: str = Field(description="public base URL of routing")
    referral_url: str = Field(description="public base URL of referral")
    measurement_url: str = Field(description="public base URL of measurement")
    issuer_url: str = Field(description="base URL of the token issuer, such as https://host/screening/auth")
    issuer_signing_key_file: Path | None = Field(
        default=None, description="private JWK that signs access tokens; set on the one service that is the issuer"
    )
    issuers_file: Path | None = Field(
        default=None, description="JSON file of other issuers whose tokens are taken (docs/sign-in.md)"
    )
    proxies_trusted: tuple[str, ...] = Field(
        default=(), description="addresses or networks of proxies that say in X-Forwarded-For from whom a request came"
    )
    read_database_url: SecretStr | None = Field(
        default=None,
        description="PostgreSQL URL of a standby of this database, for figures over everybody, and searches",
    )
    read_staleness_seconds_max: float = Field(
        default=10.0, gt=0, description="a standby that is further behind is passed over: the primary answers"
    )
    read_searches: bool = Field(
        default=False, description="what clients search for is read on the standby too, once it has every write before"
    )
    database_connections_max: int = Field(default=16, ge=2, description="size of the connection pool")
    body_bytes_max: int = Field(default=1_048_576, ge=1024, description="larger request bodies are answered 413")
    body_seconds_max: float = Field(default=10.0, gt=0, description="a body that takes longer to arrive is refused")
    client_requests_per_minute: int = Field(
        default=300_000,
        ge=1,
        description="FHIR requests that one client may send to one process, all at once or spread over a minute;"
        " more are answered 429 (docs/security.md)",
    )
    client_share_max: float = Field(
        default=0.5, gt=0, le=1, description="share of a process's places for requests that one client may hold at once"
    )
    bundle_entries_max: int = Field(default=1000, ge=1, description="Bundles of more entries are answered 413")
    idempotency_hours: float = Field(
        default=24.0, gt=0, description="how long the answer to a request with an Idempotency-Key is given again"
    )
    write_queue_max: int = Field(default=4096, ge=1, description="writes waiting beyond this are answered 503")
    delivery_poll_seconds: float = Field(default=1.0, gt=0, description="slow poll behind the wake-up notices")
    delivery_lease_seconds: float = Field(default=10.0, gt=0, description="how long a silent deliverer keeps its lease")
    delivery_batch_max: int = Field(default=64, ge=1, description="most events in one notification")
    delivery_backoff_seconds_max: float = Field(
        default=86_400.0, gt=0, description="longest wait before a silent subscriber outside is tried again"
    )
    event_retention_days: float = Field(
        default=14.0, gt=0, description="how long delivered events and their numbers are kept for $events"
    )
    subscription_give_up_days: float = Field(
        default=45.0, gt=0, description="a subscriber outside that was silent for so long is switched off"
    )
    subscription_backlog_max: int = Field(
        default=1_000_000, ge=1, description="a silent subscriber outside that is so many events behind is switched off"
    )
    outbox_age_warning_seconds: float = Field(
        default=300.0, gt=0, description="events that are owed for longer are warned about in the log"
    )
    subscription_hosts_allowed: tuple[str, ...] = Field(
        default=(), description="hosts (host or host:port) to which subscriptions may post although they are not public"
    )
    listen_url: SecretStr | None = Field(
        default=None, description="direct PostgreSQL URL for LISTEN when database_url goes through a transaction pooler"
    )
    site_file: Path | None = Field(
        default=None, description="JSON file in which screening finds each tenant's crisis contacts and second factor"
    )
    export_hours: float = Field(default=24.0, gt=0, description="how long a bulk export can be fetched")
    export_file_resources: int = Field(default=50_000, ge=1, description="most resources in one file of an export")
    exports_at_work_max: int = Field(
        default=4, ge=1, description="exports of one tenant that are made ready at once; more are answered 429"
    )
    exports_kept_max: int = Field(
        default=100, ge=1, description="exports that one client keeps at once; more are answered 429"
    )
    trace_endpoint: str | None = Field(
        default=None,
        description="URL of a collector that takes traces as OTLP/HTTP, such as http://host:4318/v1/traces",
    )
    trace_ratio: float = Field(
        default=0.01, ge=0, le=1, description="share of what begins here whose trace is recorded"
    )
    trace_callers_decide: bool = Field(
        default=False, description="whether what callers outside say of being recorded holds in place of the ratio"
    )
    drain_seconds: float = Field(
        default=0.0, ge=0, description="how long a process that was told to stop, and is not ready, takes requests"
    )
    log_level: str = Field(default="INFO", description="lowest level that is logged")

    def url_of(self, service: str) -> str:
        """Public base URL of a service by its name."""
        return str(getattr(self, f"{service}_url")).rstrip("/")


class MigrationSettings(BaseSettings):
    """What `stepwell migrate` needs: the owner's login, which the running service never has."""

    model_config = SettingsConfigDict(env_prefix="STEPWELL_", extra="ignore", frozen=True)

    migration_database_url: SecretStr = Field(description="PostgreSQL URL with the login that owns the tables")
