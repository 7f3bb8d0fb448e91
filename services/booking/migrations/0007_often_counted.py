"""Reservations that count at more moments than their start are found by their account, without the others."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

COUNTS_OFTEN = sa.text("former_starts IS NOT NULL OR escalate_time IS NOT NULL")


def upgrade() -> None:
    op.create_index(
        "reservation_often",
        "reservation",
        ["account_id", "start_time"],
        sqlite_where=COUNTS_OFTEN,
        postgresql_where=COUNTS_OFTEN,
    )
