"""The organization says what becomes of somebody unknown who signs in."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("organization", sa.Column("joining", sa.LargeBinary(), nullable=True))
