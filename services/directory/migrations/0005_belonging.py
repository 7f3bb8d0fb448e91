"""A department knows how many members it has below, and a member which department is the main one."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("department", sa.Column("member_count_below", sa.Integer(), nullable=False, server_default="0"))
    op.execute(
        "UPDATE department SET member_count_below = (SELECT count(DISTINCT m.account_id)"
        " FROM department d CROSS JOIN membership m WHERE d.path >= department.path"
        " AND d.path < substr(department.path, 1, length(department.path) - 1) || '0'"
        " AND m.department_id = d.department_id)"
    )
    op.add_column("member", sa.Column("main_department_id", sa.String(), nullable=False, server_default=sa.text("''")))
    op.execute(
        "UPDATE member SET main_department_id = coalesce((SELECT m.department_id FROM membership m"
        " WHERE m.account_id = member.account_id AND m.main), '')"
    )
