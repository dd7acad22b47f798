"""batches of a merge are taken back"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade():
    with op.batch_alter_table("legacy_batches", schema=None) as batch_op:
        batch_op.add_column(sa.Column("undo_ordered_at", sa.DateTime(timezone=True), nullable=True))

    with op.batch_alter_table("legacy_runs", schema=None) as batch_op:
        batch_op.drop_column("position")


def downgrade():
    with op.batch_alter_table("legacy_runs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("position", sa.Integer(), server_default="0", nullable=False))

    with op.batch_alter_table("legacy_batches", schema=None) as batch_op:
        batch_op.drop_column("undo_ordered_at")
