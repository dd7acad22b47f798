"""The table of enterprises."""

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from idp.db import Base


class Enterprise(Base):
    """One enterprise. At least one of `code` (13 characters, D4) and `uscc` (18) is set.

    `status`: active | cancelled (D15: no session, the reason is told after the right password).
    """

    __tablename__ = "enterprises"

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str | None] = mapped_column(String(13), unique=True)
    uscc: Mapped[str | None] = mapped_column(String(18), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    name_en: Mapped[str] = mapped_column(String(200), default="")
    region: Mapped[str] = mapped_column(String(12), default="")
    status: Mapped[str] = mapped_column(String(16), default="active")

    @property
    def prefix(self) -> str:
        """What user names of this enterprise begin with: the code, else the USCC (R9, R70)."""
        return self.code or self.uscc or ""
