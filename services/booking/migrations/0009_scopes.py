"""Who may act for departments sees what belongs to their members: all departments of a member are kept.

Of members who belong to several, the others are known when the directory tells of them again.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "directory_membership",
        sa.Column("account_id", sa.String(), primary_key=True),
        sa.Column("department_id", sa.String(), primary_key=True),
    )
    op.create_index("directory_membership_department", "directory_membership", ["department_id", "account_id"])
    op.execute(
        "INSERT INTO directory_membership (account_id, department_id)"
        " SELECT account_id, department_id FROM directory_member WHERE department_id <> ''"
    )
    op.create_index("reservation_account_state", "reservation", ["account_id", "state", "start_time", "reservation_id"])
