"""What operators can set about messages: the part of Settings that `idp.messages` is built from."""

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings

MIN_SECRET_CHARACTERS = 32


class DeliverySettings(BaseSettings):
    """Mail, short messages, and how many codes may leave by them."""

    delivery: Literal["console", "smtp"] = Field("console", description="How messages leave; `console` only on loopback.")
    smtp_url: str = Field("", description="`smtp://[user:password@]host:port` or `smtps://…`.")
    mail_from: str = Field("no-reply@localhost", description="Sender of mails.")
    sms_url: str = Field("", description="Address of the gateway for short messages (docs/sms-gateway.md); empty = there is none, codes go by mail.")
    sms_secret: SecretStr = Field(SecretStr(""), description="Signs what goes to that gateway; 32 characters or more.")

    codes_per_hour: int = Field(
        20000, ge=100, le=1000000, description="One-time codes that leave in an hour, by short message and by mail each; no more until the next hour."
    )
    codes_per_ip_hour: int = Field(300, ge=20, le=10000, description="One-time codes asked for from one address (IPv6: /64) in an hour.")

    @field_validator("sms_url")
    @classmethod
    def _gateway(cls, value: str) -> str:
        url = urlsplit(value)
        if value and (url.scheme not in ("http", "https") or not url.hostname or url.username or url.fragment):
            raise ValueError("must be an http(s) address without a user name")
        return value

    @model_validator(mode="after")
    def _complete(self) -> "DeliverySettings":
        if self.delivery == "smtp" and not self.smtp_url:
            raise ValueError("smtp_url: needed for delivery by smtp")
        if self.sms_url and len(self.sms_secret.get_secret_value()) < MIN_SECRET_CHARACTERS:
            raise ValueError("sms_secret: 32 characters or more are needed for sms_url")
        if self.sms_url and self.delivery == "console":
            raise ValueError("sms_url: delivery by console sends nothing; set smtp")
        return self

    @property
    def code_channels(self) -> tuple[str, ...]:
        """How one-time codes can leave: short messages need a gateway."""
        return ("mobile", "email") if self.delivery == "console" or self.sms_url else ("email",)
