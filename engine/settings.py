"""Every setting, once: environment `OFFLOAD_<NAME>`, or `OFFLOAD_<NAME>_FILE` with the value in a file."""

import ipaddress
import math
import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from engine.errors import InvalidInput

PREFIX = "OFFLOAD_"
_HOST_AND_PORT = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\[\]:@%/\s]+):[1-9][0-9]{0,4}")


class Settings(BaseSettings):
    """The settings table. Frozen after start; the help line of each is its description."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", allow_inf_nan=False)

    data_dir: Path = Field(Path("data"), description="Folder of the databases and files.")
    public_url: str = Field("", description="Address people use, for links in webhooks and sign-in links.")
    workers: int = Field(4, ge=1, le=64, description="Worker threads of one consumer.")
    service: str = Field("offload", max_length=64, description="Name under which requests are recorded.")
    task_modules: str = Field("", description="Further modules with task types, separated by commas.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level logged.")

    busy_timeout_s: float = Field(30, gt=0, description="How long a write waits for a locked database.")
    lease_s: float = Field(45, gt=0, description="A running task not renewed for this long is given back.")
    heartbeat_s: float = Field(5, gt=0, description="How often a worker renews its leases.")
    poison_deaths: int = Field(5, ge=1, description="Worker deaths after which a task ends as failed.")
    shutdown_s: float = Field(12, gt=0, description="How long an orderly shutdown waits for running tasks.")

    render_cpu_s: int = Field(120, ge=1, description="CPU seconds one render may use.")
    render_memory_mb: int = Field(1024, ge=64, description="Memory one render may use, in MiB.")
    upload_bytes: int = Field(20 * 1024 * 1024, ge=1, description="Largest upload, in bytes.")
    upload_inflated_bytes: int = Field(200 * 1024 * 1024, ge=1, description="Largest inflated upload.")
    upload_keep_h: float = Field(24, gt=0, description="Hours an upload is kept.")
    artifact_keep_d: float = Field(7, gt=0, description="Days a rendered file is kept.")
    body_bytes: int = Field(1024 * 1024, ge=1, description="Largest JSON body, in bytes.")
    task_keep_d: float = Field(30, gt=0, description="Days an ended task is kept.")
    audit_keep_d: float = Field(365, gt=0, description="Days an audit row is kept.")
    result_bytes: int = Field(64 * 1024, ge=1024, description="Largest result kept in the task's row.")

    session_h: float = Field(12, gt=0, description="Hours a sign-in lasts.")
    signin_link_h: float = Field(24, gt=0, description="Hours a one-time sign-in link is valid.")
    login_tries: int = Field(10, ge=1, description="Failed sign-ins per name and address in 15 minutes.")

    allowed_private_hosts: str = Field("", description="host:port,... that outbound calls may reach anyway.")
    call_ports: str = Field("80,443,8080,8443", description="Ports outbound calls may use.")
    call_timeout_s: float = Field(30, gt=0, le=120, description="Default time-out of an outbound call.")
    call_total_s: float = Field(120, gt=0, description="Longest time of a call over all its tries.")
    call_tries: int = Field(3, ge=1, le=10, description="Tries of an outbound call.")
    call_raw_bytes: int = Field(5 * 1024 * 1024, ge=1, description="Largest answer as sent, in bytes.")
    call_inflated_bytes: int = Field(10 * 1024 * 1024, ge=1, description="Largest answer inflated, in bytes.")
    calls_per_hour: int = Field(100, ge=1, description="Calls an hour per user and URL.")
    call_bulk_max: int = Field(50, ge=1, description="Calls in one bulk submit.")
    call_bulk_parallel: int = Field(10, ge=1, description="Calls of one bulk task in flight at a time.")

    webhook_timeout_s: float = Field(15, gt=0, description="Time-out of one webhook delivery.")
    webhook_delays_s: str = Field("60,300,900", description="Waits before a delivery is tried again.")
    webhook_tolerance_s: float = Field(300, gt=0, description="How old a signature may be.")
    webhook_rotation_h: float = Field(24, ge=0, description="Hours an old webhook secret still signs.")
    webhook_disable_after: int = Field(20, ge=1, description="Exhausted deliveries in a row that disable.")

    cron_iterations: int = Field(1000, ge=1, description="Most steps of one cron calculation.")
    cron_horizon_d: int = Field(365, ge=1, description="Days a cron calculation looks ahead.")
    cron_cache_s: float = Field(3600, ge=0, description="Seconds a cron result is kept.")
    cron_max_chars: int = Field(256, ge=9, description="Longest cron expression.")
    schedule_missed_s: float = Field(60, gt=0, description="Due times older than this count as missed.")
    schedule_late_s: float = Field(60, gt=0, description="A start later than this is flagged as late.")
    schedule_waiting_max: int = Field(100, ge=1, description="Occurrences of a schedule that may wait.")
    schedule_batch_rows: int = Field(500, ge=1, description="Most schedules made in one batch.")

    apdex_t_ms: int = Field(500, ge=1, description="Apdex target T, unless a route has its own.")
    slow_request_ms: int = Field(2000, ge=1, description="Requests above this are kept and logged.")
    monitor_cpu_percent: float = Field(
        2.0, gt=0, le=100, description="Share of one core recording may use before its detail steps down."
    )
    raw_keep_h: float = Field(48, gt=0, description="Hours every raw event is kept.")
    evidence_keep_d: float = Field(14, gt=0, description="Days slow, failed and worst events are kept.")
    minute_keep_d: float = Field(7, gt=0, description="Days minute rollups are kept.")
    hour_keep_d: float = Field(396, gt=0, description="Days hour rollups are kept (13 months).")
    day_keep_d: float = Field(1826, gt=0, description="Days day rollups are kept (5 years).")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, _FileSource(settings_cls)

    @field_validator("data_dir", mode="before")
    @classmethod
    def _somewhere(cls, value: object) -> object:
        if value == "":
            raise ValueError("must not be empty: the databases would go to whatever folder one stands in")
        return value

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().resolve()

    @field_validator("public_url")
    @classmethod
    def _http(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return value.rstrip("/")

    @field_validator("allowed_private_hosts")
    @classmethod
    def _hosts_and_ports(cls, value: str) -> str:
        for part in filter(None, map(str.strip, value.split(","))):
            host, _, port = part.rpartition(":")
            if not _HOST_AND_PORT.fullmatch(part) or int(port) > 65_535 or not _well_formed(host):
                raise ValueError(f"{part!r} is not host:port")
        return value

    @field_validator("call_ports")
    @classmethod
    def _ports(cls, value: str) -> str:
        for part in filter(None, map(str.strip, value.split(","))):
            if not (part.isascii() and part.isdigit() and 0 < int(part) < 65_536):
                raise ValueError(f"{part!r} is not a port")
        return value

    @field_validator("webhook_delays_s")
    @classmethod
    def _numbers(cls, value: str) -> str:
        for part in filter(None, value.split(",")):
            if not 0 <= float(part) < math.inf:
                raise ValueError(f"{part.strip()!r} is no number of seconds, 0 or more")
        return value

    @property
    def beat_s(self) -> float:
        """How often a worker beats: often enough that a lease outlives three beats that did not come."""
        return min(self.heartbeat_s, self.lease_s / 4)

    @property
    def webhook_delays(self) -> tuple[float, ...]:
        return tuple(float(part) for part in self.webhook_delays_s.split(",") if part.strip())

    @property
    def ports(self) -> frozenset[int]:
        return frozenset(int(part) for part in self.call_ports.split(",") if part.strip())


def _well_formed(host: str) -> bool:
    """Whether what stands in brackets is an IPv6 address."""
    try:
        return not host.startswith("[") or bool(ipaddress.IPv6Address(host[1:-1]))
    except ValueError:
        return False


@dataclass(frozen=True)
class Finding:
    """One thing `doctor` says about the settings. `id` is stable: people search for it."""

    id: str
    level: Literal["error", "warning"]
    message: str


@lru_cache(maxsize=1)
def get() -> Settings:
    """Return the settings of this process, read once; raise InvalidInput naming each wrong variable."""
    try:
        return Settings()
    except ValidationError as error:
        fields = {PREFIX + str(e["loc"][0]).upper(): str(e["msg"]) for e in error.errors() if e["loc"]}
        wrong = "; ".join(f"{name}: {message}" for name, message in fields.items())
        raise InvalidInput(f"Settings are not valid: {wrong}", fields=fields, code="settings") from error


def environment(**changes: str) -> dict[str, str]:
    """Return the environment of this process with changes, for a process to be started."""
    return {**os.environ, **changes}


def check(settings: Settings | None = None) -> list[Finding]:
    """Return what is wrong or doubtful about the settings, worst first."""
    s = settings or get()
    found = [
        Finding("S001", "error", f"{name} is not a setting; see the settings table in docs/settings.md")
        for name in sorted(os.environ)
        if name.startswith(PREFIX) and not _known(name)
    ]
    if s.lease_s <= s.busy_timeout_s:
        found.append(
            Finding(
                "S002",
                "warning",
                f"OFFLOAD_LEASE_S ({s.lease_s:g}) should exceed OFFLOAD_BUSY_TIMEOUT_S "
                f"({s.busy_timeout_s:g}), or a task may run twice while the database is locked",
            )
        )
    if s.beat_s < s.heartbeat_s:
        found.append(
            Finding(
                "S003",
                "warning",
                f"OFFLOAD_HEARTBEAT_S ({s.heartbeat_s:g}) is too rare for OFFLOAD_LEASE_S ({s.lease_s:g}): "
                f"workers beat every {s.beat_s:g} s",
            )
        )
    if not s.public_url:
        found.append(
            Finding(
                "S004", "warning", "OFFLOAD_PUBLIC_URL is not set: links in webhooks name this machine only"
            )
        )
    return sorted(found, key=lambda f: f.level != "error")


def _known(name: str) -> bool:
    field = name.removeprefix(PREFIX).removesuffix("_FILE").lower()
    return field in Settings.model_fields or name in _LAUNCHER_VARIABLES


_LAUNCHER_VARIABLES = frozenset({"OFFLOAD_CORRELATION_ID", "OFFLOAD_UP_PID"})


class _FileSource(PydanticBaseSettingsSource):
    """Reads `OFFLOAD_<NAME>_FILE`, the way container secrets are mounted."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        variable = f"{PREFIX}{field_name.upper()}_FILE"
        path = os.environ.get(variable)
        try:
            return (Path(path).read_text("utf-8").strip() if path else None), field_name, False
        except (OSError, UnicodeDecodeError) as error:
            why = f"cannot read {path}: {getattr(error, 'strerror', None) or 'it is not UTF-8'}"
            message = f"Settings are not valid: {variable}: {why}"
            raise InvalidInput(message, fields={variable: why}, code="settings") from error

    def __call__(self) -> dict[str, Any]:
        values = {
            name: self.get_field_value(f, name)[0] for name, f in self.settings_cls.model_fields.items()
        }
        return {name: value for name, value in values.items() if value is not None}
