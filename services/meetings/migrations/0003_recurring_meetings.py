"""Simulated meetings may recur."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "simulated_occurrence",
        sa.Column("meeting_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("start_time", sa.BigInteger(), nullable=False),
        sa.Column("end_time", sa.BigInteger(), nullable=False),
        sa.Column("ended", sa.Boolean(), nullable=False),
        sa.Column("cancelled", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["meeting_id"],
            ["simulated_meeting.id"],
        ),
        sa.PrimaryKeyConstraint("meeting_id", "number"),
    )
    op.add_column("simulated_visit", sa.Column("occurrence", sa.Integer(), nullable=False, server_default="0"))
