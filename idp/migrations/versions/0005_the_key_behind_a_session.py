"""the key behind a session"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade():
    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("ekey_serial", sa.String(length=40), nullable=True))
        batch_op.create_index(batch_op.f("ix_sessions_ekey_serial"), ["ekey_serial"], unique=False)


def downgrade():
    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_sessions_ekey_serial"))
        batch_op.drop_column("ekey_serial")
