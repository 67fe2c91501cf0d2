"""What the URI of a place on an object store may say of the store, as its query: `s3://BUCKET/PREFIX?region=eu-west-1`.

Keys are never among it: they come from where the store's own tools look for them. Importable without torch or Ray.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from urm_ray.config_training import Section


class S3Options(Section):
    """S3, and stores that speak its language."""

    region: str | None = None
    """None takes AWS_REGION or AWS_DEFAULT_REGION, or else asks AWS where the bucket is."""
    endpoint_override: str | None = None
    """HOST:PORT of another store than that of AWS; None takes AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL, if any."""
    scheme: Literal["https", "http"] = "https"
    """How `endpoint_override` is spoken to."""
    max_attempts: int = Field(8, ge=1)
    """At a request that fails for a while, with a longer pause after each; AWS_MAX_ATTEMPTS sets it, too. A whole read
    or write is tried for about a minute more."""
    connect_timeout: float = Field(5, gt=0)
    """Seconds until somebody answers."""
    request_timeout: float = Field(30, gt=0)
    """Seconds without a single byte, after which a request has failed."""


class GcsOptions(Section):
    """Google Cloud Storage."""

    endpoint_override: str | None = None
    """HOST:PORT of another store than Google's."""
    scheme: Literal["https", "http"] = "https"
    retry_limit_seconds: float = Field(60, gt=0)
    """For so long is a request tried that fails for a while."""
