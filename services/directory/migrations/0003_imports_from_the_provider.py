"""Imports may be of the provider's people."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("import", sa.Column("source", sa.String(), server_default="TABLE", nullable=False))
    op.add_column("import", sa.Column("fetched_count", sa.Integer(), server_default="0", nullable=False))
    op.add_column("import", sa.Column("page_token", sa.String(), server_default=sa.text("''"), nullable=False))
    op.add_column("import", sa.Column("lease_end", sa.BigInteger(), nullable=True))
    op.add_column("import", sa.Column("fault", sa.LargeBinary(), nullable=True))
