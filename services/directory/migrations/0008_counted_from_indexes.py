"""Members who meet a filter are counted, and found in their order, without a look at their rows."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

FACTS = ["main_department_id", "status", "licence_assign_time", "verified"]


def upgrade() -> None:
    op.add_column(
        "membership", sa.Column("main_department_id", sa.String(), nullable=False, server_default=sa.text("''"))
    )
    op.execute(
        "UPDATE membership SET main_department_id = (SELECT m.main_department_id FROM member m"
        " WHERE m.account_id = membership.account_id)"
    )
    op.drop_index("membership_department", "membership")
    op.create_index(
        "membership_department", "membership", ["department_id", "main", "main_department_id", "account_id"]
    )
    for name, order in (("member_order", "sort_name"), ("member_newest", "create_time")):
        op.drop_index(name, "member")
        op.create_index(name, "member", [order, "account_id", *FACTS])
    op.create_index("member_facts", "member", FACTS)
