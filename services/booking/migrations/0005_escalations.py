"""A reservation knows when support was asked about it."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("reservation", sa.Column("escalate_time", sa.BigInteger(), nullable=True))
    # the decision with which it was made says whether it went to support
    op.execute(
        "UPDATE reservation SET escalate_time = create_time WHERE EXISTS (SELECT 1 FROM decision d"
        " WHERE d.reservation_id = reservation.reservation_id AND d.action = 'CREATE' AND d.effect = 'ESCALATE')"
    )
