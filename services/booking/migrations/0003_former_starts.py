"""Reservations know the starts that they had before."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("reservation", sa.Column("former_starts", sa.Text(), nullable=True))
