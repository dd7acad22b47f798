"""The table of the device grant (RFC 8628)."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from idp.db import Base


class DeviceAuthorization(Base):
    """One device that asks for a person. Both codes stand here as digests; `user_code_digest` is keyed, because that code is short.

    `approved_at` with `grant_id`, or `denied_at`, is the person's word; `spent_at`: the device has had its tokens. `polled_at` and
    `interval_seconds` (of polling) hold a device to its pace.
    """

    __tablename__ = "oidc_device_authorizations"

    device_code_digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_code_digest: Mapped[str] = mapped_column(String(64), unique=True)
    client_id: Mapped[str] = mapped_column(ForeignKey("oidc_clients.client_id", ondelete="CASCADE"), index=True)
    parameters: Mapped[dict[str, Any]] = mapped_column(JSON)
    grant_id: Mapped[int | None] = mapped_column(ForeignKey("oidc_grants.id", ondelete="CASCADE"), index=True)
    interval_seconds: Mapped[int]
    polled_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    approved_at: Mapped[datetime | None]
    denied_at: Mapped[datetime | None]
    spent_at: Mapped[datetime | None]
