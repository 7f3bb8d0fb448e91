"""An entry before the start is noted; from when on being inside counts as having come is known."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("reservation", sa.Column("early_enter_time", sa.BigInteger(), nullable=True))
    op.add_column("reservation", sa.Column("attendance_start_time", sa.BigInteger(), nullable=True))
