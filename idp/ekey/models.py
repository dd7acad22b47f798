"""The tables of the e-key: challenges, what CAs said of revocation, bindings."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from idp.db import Base
from idp.key_register.models import EKey
from idp.signin.models import SignInTransaction


class EKeyChallenge(Base):
    """One challenge for a card, of one sign-in in one browser; used up by setting `spent_at` once."""

    __tablename__ = "ekey_challenges"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    transaction_id: Mapped[str] = mapped_column(ForeignKey(SignInTransaction.id, ondelete="CASCADE"), index=True)
    browser_digest: Mapped[str] = mapped_column(String(64))
    expires_at: Mapped[datetime] = mapped_column(index=True)
    spent_at: Mapped[datetime | None]


class CertificateVisit(Base):
    """One way of a sign-in over the host that asks browsers for certificates: begun here, judged there, taken up here, each step once.

    `found`: what was judged (`certificate_road`); `expires_at`: until when the next step may come.
    """

    __tablename__ = "ekey_certificate_visits"

    id: Mapped[int] = mapped_column(primary_key=True)
    transaction_id: Mapped[str] = mapped_column(ForeignKey(SignInTransaction.id, ondelete="CASCADE"), index=True)
    challenge_digest: Mapped[str] = mapped_column(String(64), unique=True)
    handover_digest: Mapped[str | None] = mapped_column(String(64), unique=True)
    expires_at: Mapped[datetime] = mapped_column(index=True)
    arrived_at: Mapped[datetime | None]
    taken_at: Mapped[datetime | None]
    found: Mapped[dict[str, Any]] = mapped_column(default=dict)


class CrlAddress(Base):
    """When the worker last set out to fetch the list at a configured address."""

    __tablename__ = "ekey_crl_addresses"

    url: Mapped[str] = mapped_column(String(500), primary_key=True)
    asked_at: Mapped[datetime]


class CachedCrl(Base):
    """The newest revocation list of one CA from one address. `number` as 40 hexadecimal digits: it never goes down."""

    __tablename__ = "ekey_crls"

    url: Mapped[str] = mapped_column(String(500), primary_key=True)
    issuer: Mapped[str] = mapped_column(String(64), primary_key=True)
    number: Mapped[str] = mapped_column(String(40))
    this_update: Mapped[datetime]
    next_update: Mapped[datetime]
    der: Mapped[bytes]
    fetched_at: Mapped[datetime]


class CachedOcsp(Base):
    """The newest OCSP answer on one certificate, until it must be asked for again."""

    __tablename__ = "ekey_ocsp_answers"

    issuer: Mapped[str] = mapped_column(String(64), primary_key=True)
    serial_number: Mapped[str] = mapped_column(String(40), primary_key=True)
    this_update: Mapped[datetime]
    until: Mapped[datetime] = mapped_column(index=True)
    der: Mapped[bytes]


class EKeyBinding(Base):
    """The certificates of one (issuer, subject), as digests, belong to one key of the office's list. What was said of the key counts.

    `holder`: digest of the subject without the key's serial, by which a renewed key is known.
    """

    __tablename__ = "ekey_bindings"
    __table_args__ = (UniqueConstraint("issuer", "subject"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    serial: Mapped[str] = mapped_column(ForeignKey(EKey.serial), index=True)
    issuer: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str] = mapped_column(String(64))
    holder: Mapped[str] = mapped_column(String(64), default="", server_default="")
    not_after: Mapped[datetime]
    bound_at: Mapped[datetime]
