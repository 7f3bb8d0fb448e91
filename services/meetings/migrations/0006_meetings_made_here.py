"""Meetings that are made here."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "making",
        sa.Column("making_id", sa.String(), nullable=False),
        sa.Column("creator", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("start_time", sa.BigInteger(), nullable=False),
        sa.Column("end_time", sa.BigInteger(), nullable=False),
        sa.Column("hosts", sa.Text(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("unwanted", sa.Boolean(), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("meeting_id", sa.String(), nullable=False),
        sa.Column("meeting_code", sa.String(), nullable=False),
        sa.Column("join_url", sa.String(), nullable=False),
        sa.Column("refusal", sa.String(), nullable=False),
        sa.Column("provider_message", sa.String(), nullable=False),
        sa.Column("known_row", sa.BigInteger(), nullable=False),
        sa.Column("ask_time", sa.BigInteger(), nullable=False),
        sa.Column("busy_until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("making_id"),
    )
    op.create_index(
        "making_meeting",
        "making",
        ["provider", "meeting_id"],
        unique=True,
        sqlite_where=sa.text("meeting_id <> ''"),
        postgresql_where=sa.text("meeting_id <> ''"),
    )
    op.create_table(
        "simulated_plan",
        sa.Column("meeting_id", sa.BigInteger(), nullable=False),
        sa.Column("making_id", sa.String(), nullable=False),
        sa.Column("hosts", sa.Text(), nullable=False),
        sa.Column("waiting_room", sa.Boolean(), nullable=False),
        sa.Column("enter_before_host", sa.Boolean(), nullable=False),
        sa.Column("organization_only", sa.Boolean(), nullable=False),
        sa.Column("mute_on_entry", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["meeting_id"],
            ["simulated_meeting.id"],
        ),
        sa.PrimaryKeyConstraint("meeting_id"),
        sa.UniqueConstraint("making_id"),
    )
