"""the life of e-keys; officers; one-time codes; authenticator apps"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "one_time_codes",
        sa.Column("purpose", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=80), nullable=False),
        sa.Column("channel", sa.String(length=8), nullable=False),
        sa.Column("recipient", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("spent_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("purpose", "subject", name=op.f("pk_one_time_codes")),
    )
    with op.batch_alter_table("one_time_codes", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_one_time_codes_expires_at"), ["expires_at"], unique=False)

    op.create_table(
        "ekey_certificate_visits",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("transaction_id", sa.String(length=64), nullable=False),
        sa.Column("challenge_digest", sa.String(length=64), nullable=False),
        sa.Column("handover_digest", sa.String(length=64), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("arrived_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("found", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["transaction_id"], ["signin_transactions.id"], name=op.f("fk_ekey_certificate_visits_transaction_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ekey_certificate_visits")),
        sa.UniqueConstraint("challenge_digest", name=op.f("uq_ekey_certificate_visits_challenge_digest")),
        sa.UniqueConstraint("handover_digest", name=op.f("uq_ekey_certificate_visits_handover_digest")),
    )
    with op.batch_alter_table("ekey_certificate_visits", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_ekey_certificate_visits_expires_at"), ["expires_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_ekey_certificate_visits_transaction_id"), ["transaction_id"], unique=False)

    op.create_table(
        "account_recovery_codes",
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("spent_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_account_recovery_codes_account_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("account_id", "digest", name=op.f("pk_account_recovery_codes")),
    )
    op.create_table(
        "account_roles",
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("role", sa.String(length=24), nullable=False),
        sa.Column("region", sa.String(length=12), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("granted_by", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_account_roles_account_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("account_id", "role", "region", name=op.f("pk_account_roles")),
    )
    op.create_table(
        "account_totps",
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("sealed_secret", sa.String(length=300), nullable=False),
        sa.Column("session_id", sa.Integer(), nullable=True),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_step", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_account_totps_account_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_account_totps")),
    )
    op.create_table(
        "ekey_reports",
        sa.Column("number", sa.String(length=20), nullable=False),
        sa.Column("serial", sa.String(length=40), nullable=False),
        sa.Column("word", sa.String(length=16), nullable=False),
        sa.Column("how", sa.String(length=16), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rights_until", sa.Date(), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["serial"], ["ekeys.serial"], name=op.f("fk_ekey_reports_serial")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_ekey_reports")),
    )
    with op.batch_alter_table("ekey_reports", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_ekey_reports_account_id"), ["account_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_ekey_reports_serial"), ["serial"], unique=False)

    op.create_table(
        "ekey_warnings",
        sa.Column("serial", sa.String(length=40), nullable=False),
        sa.Column("expires", sa.Date(), nullable=False),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["serial"], ["ekeys.serial"], name=op.f("fk_ekey_warnings_serial")),
        sa.PrimaryKeyConstraint("serial", "expires", "days", name=op.f("pk_ekey_warnings")),
    )
    op.create_table(
        "initial_passwords",
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("serial", sa.String(length=40), nullable=False),
        sa.Column("password_hash", sa.String(length=200), nullable=True),
        sa.Column("activation_digest", sa.String(length=64), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("letter_digest", sa.String(length=64), nullable=True),
        sa.Column("letter_for", sa.Integer(), nullable=True),
        sa.Column("letter_until", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_initial_passwords_account_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["serial"], ["ekeys.serial"], name=op.f("fk_initial_passwords_serial")),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_initial_passwords")),
    )
    with op.batch_alter_table("initial_passwords", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_initial_passwords_letter_digest"), ["letter_digest"], unique=False)

    op.create_table(
        "officer_enrolments",
        sa.Column("token_digest", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("spent_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_officer_enrolments_account_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("token_digest", name=op.f("pk_officer_enrolments")),
    )
    with op.batch_alter_table("officer_enrolments", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_officer_enrolments_account_id"), ["account_id"], unique=False)

    op.create_table(
        "second_person_requests",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("subject", sa.String(length=160), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("filed_by", sa.Integer(), nullable=True),
        sa.Column("operator", sa.String(length=64), nullable=False),
        sa.Column("filed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("decided_by", sa.Integer(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answer", sa.String(length=500), nullable=False),
        sa.ForeignKeyConstraint(["decided_by"], ["accounts.id"], name=op.f("fk_second_person_requests_decided_by")),
        sa.ForeignKeyConstraint(["filed_by"], ["accounts.id"], name=op.f("fk_second_person_requests_filed_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_second_person_requests")),
    )
    with op.batch_alter_table("second_person_requests", schema=None) as batch_op:
        batch_op.create_index("ix_second_person_requests_state", ["state", "expires_at"], unique=False)
        batch_op.create_index(
            "uq_second_person_requests_open",
            ["kind", "subject"],
            unique=True,
            sqlite_where=sa.text("state = 'open'"),
            postgresql_where=sa.text("state = 'open'"),
        )

    with op.batch_alter_table("accounts", schema=None) as batch_op:
        batch_op.alter_column("enterprise_id", existing_type=sa.INTEGER(), nullable=True)

    # what was withdrawn stays so
    op.execute(
        "INSERT INTO ekey_reports (number, serial, word, how, at) SELECT 'before-' || min(id), serial, 'withdrawn', 'command', min(withdrawn_at) "
        "FROM ekey_bindings WHERE withdrawn_at IS NOT NULL GROUP BY serial"
    )
    with op.batch_alter_table("ekey_bindings", schema=None) as batch_op:
        batch_op.add_column(sa.Column("holder", sa.String(length=64), server_default="", nullable=False))
        batch_op.drop_column("withdrawn_at")

    with op.batch_alter_table("ekeys", schema=None) as batch_op:
        batch_op.add_column(sa.Column("user_name", sa.String(length=160), server_default="", nullable=False))
        batch_op.add_column(sa.Column("activation_digest", sa.String(length=64), nullable=True))

    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("ekey_pin", sa.Boolean(), nullable=True))
    # until now each card had asked for it
    op.execute("UPDATE sessions SET ekey_pin = TRUE WHERE ekey_at IS NOT NULL")


def downgrade():
    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.drop_column("ekey_pin")

    with op.batch_alter_table("ekeys", schema=None) as batch_op:
        batch_op.drop_column("activation_digest")
        batch_op.drop_column("user_name")

    with op.batch_alter_table("ekey_bindings", schema=None) as batch_op:
        batch_op.add_column(sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.drop_column("holder")

    with op.batch_alter_table("accounts", schema=None) as batch_op:
        batch_op.alter_column("enterprise_id", existing_type=sa.INTEGER(), nullable=False)

    with op.batch_alter_table("second_person_requests", schema=None) as batch_op:
        batch_op.drop_index("uq_second_person_requests_open", sqlite_where=sa.text("state = 'open'"), postgresql_where=sa.text("state = 'open'"))
        batch_op.drop_index("ix_second_person_requests_state")

    op.drop_table("second_person_requests")
    with op.batch_alter_table("officer_enrolments", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_officer_enrolments_account_id"))

    op.drop_table("officer_enrolments")
    with op.batch_alter_table("initial_passwords", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_initial_passwords_letter_digest"))

    op.drop_table("initial_passwords")
    op.drop_table("ekey_warnings")
    with op.batch_alter_table("ekey_reports", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_ekey_reports_serial"))
        batch_op.drop_index(batch_op.f("ix_ekey_reports_account_id"))

    op.drop_table("ekey_reports")
    op.drop_table("account_totps")
    op.drop_table("account_roles")
    op.drop_table("account_recovery_codes")
    with op.batch_alter_table("ekey_certificate_visits", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_ekey_certificate_visits_transaction_id"))
        batch_op.drop_index(batch_op.f("ix_ekey_certificate_visits_expires_at"))

    op.drop_table("ekey_certificate_visits")
    with op.batch_alter_table("one_time_codes", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_one_time_codes_expires_at"))

    op.drop_table("one_time_codes")
