"""When a member signed in last."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("member", sa.Column("sign_in_time", sa.BigInteger(), nullable=True))
