"""Settings: flags and environment (`HEADSTART_...`) to one frozen value. A flag wins over the environment."""

import argparse
import ipaddress
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """What one server runs with. Sizes in bytes, times in seconds."""

    model_config = SettingsConfigDict(env_prefix="HEADSTART_", frozen=True, extra="ignore")

    state_dir: Path = Field(Path(".headstart"), description="where jobs, embeddings, models and artifacts are kept")
    data_root: str | None = Field(
        None,
        description="folder, or URL such as s3://bucket/data, whose files jobs may name by path; none: uploads only",
    )
    model_root: Path | None = Field(None, description="folder with pretrained models, one below it per name")
    storage_url: str = Field(
        "",
        description="where machines share embeddings, models, artifacts, uploads and checkpoints: s3://bucket/prefix, "
        "gs://bucket/prefix, or a mounted directory; empty: in the state directory alone",
    )
    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(50051, ge=0, le=65535, description="gRPC port; 0 takes a free one")
    port_file: Path | None = Field(None, description="file to write the gRPC port to once the server listens")
    http: bool = Field(True, description="serve HTTP as well: the page, the API as JSON, health and metrics")
    http_port: int = Field(8080, ge=0, le=65535, description="HTTP port on the same address; 0 takes a free one")
    http_port_file: Path | None = Field(None, description="file to write the HTTP port to once the server listens")
    allow_hub: bool = Field(False, description="let jobs fetch pretrained weights from the Hugging Face hub")
    database_url: str = Field("", description="SQLAlchemy URL of the job store; empty: SQLite in the state directory")
    migrate: bool = Field(
        False, description="bring the schema of --database-url up to date at the start; that of SQLite always is"
    )
    lease_seconds: float = Field(
        30.0,
        ge=1,
        le=3_600,
        description="seconds after which another server takes the jobs of one that is not heard of",
    )
    pause_seconds: float = Field(
        600.0, ge=0, description="seconds that a job may take to come to a checkpoint when it is to pause"
    )
    hang_seconds: float = Field(
        3_600.0, ge=0, description="seconds after which a worker that gives no sign of life is killed; 0: never"
    )
    event_days: float = Field(
        0.0, ge=0, description="days for which the events of ended jobs are kept; 0: as long as the job"
    )
    ray_address: str = Field(
        "", description="Ray cluster for jobs with backend ray; empty: RAY_ADDRESS, or one on this machine for each job"
    )
    ray_grows: bool = Field(False, description="nodes are added to the Ray cluster when jobs need them, so jobs wait")
    ray_timeout: int = Field(
        1800,
        ge=1,
        le=7 * 86_400,
        description="seconds for which workers on Ray wait for each other; then all of them start again",
    )
    fast_precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto",
        description="arithmetic that embedding passes and mixed precision take for fast; auto: it is measured",
    )
    serving_precision: Literal["fp32", "auto", "bf16", "fp16"] = Field(
        "fp32",
        description="arithmetic in which encoders of models answer Predict; auto: the fast one for each model whose "
        "answers to a sample stay close to those in fp32",
    )
    concurrent_jobs: int = Field(1, ge=1, le=1024, description="jobs that train at the same time")
    warm_workers: int = Field(1, ge=0, le=64, description="worker processes kept warm")
    concurrent_exports: int = Field(1, ge=1, le=64, description="exports at the same time, each in its own process")
    quotas: Path | None = Field(
        None,
        description="YAML file of what each tenant may use (docs/limits.md), read again when it changes; none: all",
    )
    max_queued_jobs: int = Field(1000, ge=1, description="jobs that may wait")
    max_message_bytes: int = Field(64 << 20, ge=1 << 20, description="largest gRPC message")
    max_dataset_bytes: int = Field(64 << 30, ge=1, description="largest uploaded file")
    max_plan_bytes: int = Field(1 << 30, ge=1, description="most data that PlanTrainJob reads")
    max_image_bytes: int = Field(64 << 20, ge=1, description="largest image file")
    max_image_pixels: int = Field(64_000_000, ge=1, le=178_956_970, description="most pixels of an image")
    max_image_ratio: int = Field(100, ge=1, description="most times an image's longer side may be its shorter")
    max_predict_rows: int = Field(10_000, ge=1, description="most rows of one Predict or Embed request")
    shared_content: bool = Field(
        False, description="let tenants share stored embeddings: what one has encoded is found by all"
    )
    max_predict_wait: float = Field(
        0.75,
        ge=0,
        le=3600,
        description="seconds for which a Predict or Embed may have to wait for those before it; once a tenant sends "
        "more, its calls wait for one batch at most, until that has ended",
    )
    max_connection_age: float = Field(
        1800.0,
        ge=0,
        description="seconds after which gRPC clients are asked to connect anew, for load balancers; 0: never",
    )
    max_connection_age_grace: float = Field(
        21600.0, ge=0, description="seconds that calls on a connection of this age get to end; 0: as long as they take"
    )
    http_timeout: float = Field(
        60.0, gt=0, le=3600, description="seconds for which an HTTP request waits that has no Prefer: wait=SECONDS"
    )
    max_store_bytes: int = Field(0, ge=0, description="size limit of the embedding store; 0: none")
    cache_days: float = Field(
        30.0,
        ge=0,
        description="days for which unused tables/, tokens/, quarantined shards and copies of what lies in "
        "--storage-url are kept; 0: forever",
    )
    max_cache_bytes: int = Field(
        0,
        ge=0,
        description="size limit of tables/, tokens/, quarantined shards and copies of what lies in --storage-url "
        "together; 0: none",
    )
    model_pool_bytes: int = Field(4 << 30, ge=0, description="weights of live models kept in memory")
    stop_grace: float = Field(10.0, ge=0, description="seconds that calls get to finish when the server stops")
    tls_certificate: Path | None = Field(None, description="PEM certificate chain; serves TLS together with --tls-key")
    tls_key: Path | None = Field(None, description="PEM private key")
    tls_client_ca: Path | None = Field(
        None,
        description="PEM certificates of authorities for clients: every client of gRPC must have a certificate of one",
    )
    insecure: bool = Field(
        False, description="allow a non-loopback address without TLS: tokens and data travel as anybody can read them"
    )
    token_file: Path | None = Field(
        None, description="file that says who may call, a line per token or client certificate; see headstart token"
    )
    oidc_issuer: str = Field("", description="URL of the OpenID Connect issuer whose JSON Web Tokens are taken")
    oidc_audience: str = Field("", description="audience (aud) that tokens of --oidc-issuer must have")
    oidc_jwks: str = Field("", description="URL or file of the issuer's key set; empty: as its discovery document says")
    oidc_tenant_claim: str = Field("tenant", description="claim that names the caller's tenant; empty: no tenants")
    oidc_scopes_claim: str = Field(
        "scope", description="claim with the caller's scopes, a list or words separated by blanks"
    )
    allow_anonymous: bool = Field(
        False, description="let everybody do everything, whoever reaches the port, on a non-loopback address, too"
    )
    audit_log: str = Field(
        "", description="file for a JSON line per call that changes something or is refused; -: standard output"
    )
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$", description="debug, info, warning or error")
    log_json: bool = Field(False, description="log JSON lines")

    @property
    def asks_for_credentials(self) -> bool:
        """Whether callers are told apart."""
        return self.token_file is not None or bool(self.oidc_issuer)

    @model_validator(mode="after")
    def _check(self) -> Self:
        self._check_exposure()
        self._check_credentials()
        self._settle_places()
        return self

    def _check_exposure(self) -> None:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key go together")
        if self.tls_client_ca is not None and self.tls_certificate is None:
            raise ValueError("tls_client_ca needs TLS: give --tls-certificate and --tls-key, too")
        if is_loopback(self.host):
            return
        if self.tls_certificate is None and not self.insecure:
            raise ValueError(
                f"host {self.host!r} is reachable from outside: serve TLS (--tls-certificate and --tls-key) "
                "or say --insecure"
            )
        if not self.asks_for_credentials and not self.allow_anonymous:
            raise ValueError(
                f"host {self.host!r} is reachable from outside, and nobody is asked who they are: give --token-file or "
                "--oidc-issuer, or say --allow-anonymous"
            )

    def _check_credentials(self) -> None:
        if self.allow_anonymous and self.asks_for_credentials:
            raise ValueError(
                "allow_anonymous lets everybody do everything, so that token_file and oidc_issuer would mean nothing; "
                "leave it, or both of them, out"
            )
        if bool(self.oidc_issuer) != bool(self.oidc_audience):
            raise ValueError("oidc_issuer and oidc_audience go together")
        if self.oidc_jwks and not self.oidc_issuer:
            raise ValueError("oidc_jwks needs oidc_issuer and oidc_audience: whose tokens, and meant for whom")
        for name in ("oidc_issuer", "oidc_jwks"):
            url = getattr(self, name)
            if url.startswith("http://") and not is_loopback(urlsplit(url).hostname or ""):
                raise ValueError(f"{name} {url!r} can be changed by whoever is on the way; give an https:// address")
        if self.oidc_issuer and not self.oidc_issuer.startswith(("https://", "http://")):
            raise ValueError(f"oidc_issuer {self.oidc_issuer!r} is no https:// address")

    def _settle_places(self) -> None:
        for name in ("data_root", "storage_url"):  # a directory is the same one for every process, wherever it starts
            place = getattr(self, name)
            if place and (place.startswith("file://") or "://" not in place):
                object.__setattr__(self, name, str(Path(place.removeprefix("file://")).resolve()))
        for name in ("data_root", "model_root", "storage_url"):
            folder = getattr(self, name)
            if folder and "://" not in str(folder) and not Path(folder).is_dir():
                raise ValueError(f"{name} {str(folder)!r} is no folder")


def settings_of(argv: list[str]) -> Settings:
    """Settings of command-line flags over the environment; raises pydantic.ValidationError."""
    parser = argparse.ArgumentParser(
        prog="headstart serve",
        description="Serve Headstart. Every flag is also an environment variable: --port is HEADSTART_PORT.",
    )
    for name, field in Settings.model_fields.items():
        flag = f"--{name.replace('_', '-')}"
        text = f"{field.description} (default: {field.default})"
        if field.annotation is bool:
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=None, help=text)
        else:
            parser.add_argument(flag, default=None, metavar=name.split("_")[-1].upper(), help=text)
    given = {name: value for name, value in vars(parser.parse_args(argv)).items() if value is not None}
    return Settings(**given)


def is_loopback(host: str) -> bool:
    """Whether an address to listen on is reachable from this machine alone."""
    if host in ("localhost", ""):
        return host == "localhost"
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
