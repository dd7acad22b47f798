"""migration of the old systems: merge journal, legacy entry, cut-over, linked accounts"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "incidents",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("declared_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("declared_by", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incidents")),
    )
    op.create_table(
        "legacy_batches",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("undone_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["legacy_runs.id"], name=op.f("fk_legacy_batches_run_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_legacy_batches")),
    )
    with op.batch_alter_table("legacy_batches", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_legacy_batches_run_id"), ["run_id"], unique=False)

    op.create_table(
        "legacy_cutovers",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("system", sa.String(length=40), nullable=False),
        sa.Column("region", sa.String(length=12), nullable=False),
        sa.Column("enterprise_id", sa.Integer(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("made_by", sa.String(length=64), nullable=False),
        sa.Column("reverted_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["enterprise_id"], ["enterprises.id"], name=op.f("fk_legacy_cutovers_enterprise_id")),
        sa.ForeignKeyConstraint(["system"], ["business_systems.code"], name=op.f("fk_legacy_cutovers_system")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_legacy_cutovers")),
    )
    with op.batch_alter_table("legacy_cutovers", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_legacy_cutovers_enterprise_id"), ["enterprise_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_legacy_cutovers_system"), ["system"], unique=False)

    op.create_table(
        "legacy_entry_ends",
        sa.Column("system", sa.String(length=40), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["system"], ["business_systems.code"], name=op.f("fk_legacy_entry_ends_system")),
        sa.PrimaryKeyConstraint("system", name=op.f("pk_legacy_entry_ends")),
    )
    op.create_table(
        "legacy_letters",
        sa.Column("enterprise_id", sa.Integer(), nullable=False),
        sa.Column("contact_digest", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["enterprise_id"], ["enterprises.id"], name=op.f("fk_legacy_letters_enterprise_id")),
        sa.PrimaryKeyConstraint("enterprise_id", "contact_digest", name=op.f("pk_legacy_letters")),
    )
    op.create_table(
        "account_links",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("linked_id", sa.Integer(), nullable=False),
        sa.Column("how", sa.String(length=16), nullable=False),
        sa.Column("moved", sa.JSON(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("undo_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("undone_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_account_links_account_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["linked_id"], ["accounts.id"], name=op.f("fk_account_links_linked_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account_links")),
    )
    with op.batch_alter_table("account_links", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_account_links_account_id"), ["account_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_account_links_linked_id"), ["linked_id"], unique=False)

    op.create_table(
        "legacy_account_changes",
        sa.Column("batch_id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("made", sa.Boolean(), nullable=False),
        sa.Column("before", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_legacy_account_changes_account_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["batch_id"], ["legacy_batches.id"], name=op.f("fk_legacy_account_changes_batch_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("batch_id", "account_id", name=op.f("pk_legacy_account_changes")),
    )
    with op.batch_alter_table("legacy_account_changes", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_legacy_account_changes_account_id"), ["account_id"], unique=False)

    op.create_table(
        "legacy_row_changes",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("row_id", sa.Integer(), nullable=False),
        sa.Column("before", sa.JSON(), nullable=False),
        sa.Column("former_password_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["former_password_id"], ["former_passwords.id"], name=op.f("fk_legacy_row_changes_former_password_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["row_id"], ["legacy_rows.id"], name=op.f("fk_legacy_row_changes_row_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["run_id"], ["legacy_runs.id"], name=op.f("fk_legacy_row_changes_run_id")),
        sa.PrimaryKeyConstraint("run_id", "row_id", name=op.f("pk_legacy_row_changes")),
    )
    with op.batch_alter_table("legacy_row_changes", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_legacy_row_changes_former_password_id"), ["former_password_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_legacy_row_changes_row_id"), ["row_id"], unique=False)

    op.create_table(
        "oidc_known_subjects",
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("client_id", sa.String(length=128), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_oidc_known_subjects_account_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["client_id"], ["oidc_clients.client_id"], name=op.f("fk_oidc_known_subjects_client_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("account_id", "client_id", name=op.f("pk_oidc_known_subjects")),
    )
    with op.batch_alter_table("oidc_known_subjects", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_oidc_known_subjects_client_id"), ["client_id"], unique=False)

    with op.batch_alter_table("account_names", schema=None) as batch_op:
        batch_op.add_column(sa.Column("chosen_at", sa.DateTime(timezone=True), nullable=True))

    with op.batch_alter_table("former_passwords", schema=None) as batch_op:
        batch_op.add_column(sa.Column("replaced", sa.Boolean(), server_default=sa.false(), nullable=False))

    with op.batch_alter_table("legacy_rows", schema=None) as batch_op:
        batch_op.add_column(sa.Column("added_in", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("unmerged", sa.Boolean(), server_default=sa.true(), nullable=False))
        batch_op.add_column(sa.Column("batch_id", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("entry_logins", sa.Integer(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("entry_extra", sa.Integer(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("entry_until", sa.Date(), nullable=True))
        batch_op.create_index(batch_op.f("ix_legacy_rows_added_in"), ["added_in"], unique=False)
        batch_op.create_index(batch_op.f("ix_legacy_rows_batch_id"), ["batch_id"], unique=False)
        batch_op.create_index(
            "ix_legacy_rows_unmerged", ["enterprise_id"], unique=False, sqlite_where=sa.text("unmerged"), postgresql_where=sa.text("unmerged")
        )
        own_end = sa.text("entry_until IS NOT NULL")
        batch_op.create_index("ix_legacy_rows_entry_until", ["system", "entry_until"], unique=False, sqlite_where=own_end, postgresql_where=own_end)
        batch_op.create_foreign_key(batch_op.f("fk_legacy_rows_batch_id"), "legacy_batches", ["batch_id"], ["id"], ondelete="SET NULL")
        batch_op.create_foreign_key(batch_op.f("fk_legacy_rows_added_in"), "legacy_runs", ["added_in"], ["id"])

    with op.batch_alter_table("legacy_runs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("position", sa.Integer(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("undone_at", sa.DateTime(timezone=True), nullable=True))

    with op.batch_alter_table("oidc_grants", schema=None) as batch_op:
        batch_op.add_column(sa.Column("only_system", sa.String(length=40), nullable=True))
        batch_op.add_column(sa.Column("entry_remaining", sa.Integer(), nullable=True))

    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("only_system", sa.String(length=40), nullable=True))
        batch_op.add_column(sa.Column("entry_remaining", sa.Integer(), nullable=True))

    # what was imported and merged before has no journal: it stays
    op.execute("UPDATE legacy_runs SET finished_at = started_at")
    op.execute("UPDATE legacy_rows SET unmerged = false WHERE account_id IS NOT NULL")


def downgrade():
    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.drop_column("entry_remaining")
        batch_op.drop_column("only_system")

    with op.batch_alter_table("oidc_grants", schema=None) as batch_op:
        batch_op.drop_column("entry_remaining")
        batch_op.drop_column("only_system")

    with op.batch_alter_table("legacy_runs", schema=None) as batch_op:
        batch_op.drop_column("undone_at")
        batch_op.drop_column("finished_at")
        batch_op.drop_column("position")

    with op.batch_alter_table("legacy_rows", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_legacy_rows_added_in"), type_="foreignkey")
        batch_op.drop_constraint(batch_op.f("fk_legacy_rows_batch_id"), type_="foreignkey")
        own_end = sa.text("entry_until IS NOT NULL")
        batch_op.drop_index("ix_legacy_rows_entry_until", sqlite_where=own_end, postgresql_where=own_end)
        batch_op.drop_index("ix_legacy_rows_unmerged", sqlite_where=sa.text("unmerged"), postgresql_where=sa.text("unmerged"))
        batch_op.drop_index(batch_op.f("ix_legacy_rows_batch_id"))
        batch_op.drop_index(batch_op.f("ix_legacy_rows_added_in"))
        batch_op.drop_column("entry_until")
        batch_op.drop_column("entry_extra")
        batch_op.drop_column("entry_logins")
        batch_op.drop_column("batch_id")
        batch_op.drop_column("unmerged")
        batch_op.drop_column("added_in")

    with op.batch_alter_table("former_passwords", schema=None) as batch_op:
        batch_op.drop_column("replaced")

    with op.batch_alter_table("account_names", schema=None) as batch_op:
        batch_op.drop_column("chosen_at")

    with op.batch_alter_table("oidc_known_subjects", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_oidc_known_subjects_client_id"))

    op.drop_table("oidc_known_subjects")
    with op.batch_alter_table("legacy_row_changes", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_legacy_row_changes_row_id"))
        batch_op.drop_index(batch_op.f("ix_legacy_row_changes_former_password_id"))

    op.drop_table("legacy_row_changes")
    with op.batch_alter_table("legacy_account_changes", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_legacy_account_changes_account_id"))

    op.drop_table("legacy_account_changes")
    with op.batch_alter_table("account_links", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_account_links_linked_id"))
        batch_op.drop_index(batch_op.f("ix_account_links_account_id"))

    op.drop_table("account_links")
    op.drop_table("legacy_letters")
    op.drop_table("legacy_entry_ends")
    with op.batch_alter_table("legacy_cutovers", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_legacy_cutovers_system"))
        batch_op.drop_index(batch_op.f("ix_legacy_cutovers_enterprise_id"))

    op.drop_table("legacy_cutovers")
    with op.batch_alter_table("legacy_batches", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_legacy_batches_run_id"))

    op.drop_table("legacy_batches")
    op.drop_table("incidents")
