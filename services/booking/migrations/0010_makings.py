"""Meetings that are made with their reservations, and what is owed to the provider about them."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("reservation", sa.Column("making_id", sa.String(), nullable=True))
    op.create_table(
        "owed_making",
        sa.Column("making_id", sa.String(), primary_key=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("due_time", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("held_by", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("body_hash", sa.LargeBinary(), nullable=False),
        sa.Column("reservation_id", sa.String(), nullable=False),
    )
    op.create_index("owed_making_due", "owed_making", ["due_time"])
    is_open = sa.text("state = 'OPEN'")
    op.create_index(
        *("owed_making_request", "owed_making", ["actor", "request_id"]),
        unique=True,
        sqlite_where=is_open,
        postgresql_where=is_open,
    )
