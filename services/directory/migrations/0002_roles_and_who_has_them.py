"""Roles and who has them; who may do nothing is to be told on the bus."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "member_grant",
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("waiting", sa.Boolean(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id"),
    )
    op.create_index(
        "member_grant_waiting",
        "member_grant",
        ["account_id"],
        unique=False,
        sqlite_where=sa.text("waiting"),
        postgresql_where=sa.text("waiting"),
    )
    op.create_table(
        "role",
        sa.Column("role_id", sa.String(), nullable=False),
        sa.Column("display_name", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("update_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("role_id"),
        sa.UniqueConstraint("display_name"),
    )
    op.create_table(
        "transfer",
        sa.Column("transfer_id", sa.String(), nullable=False),
        sa.Column("from_account_id", sa.String(), nullable=False),
        sa.Column("to_account_id", sa.String(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("end_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("transfer_id"),
    )
    op.create_table(
        "binding",
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("role_id", sa.String(), nullable=False),
        sa.Column("department_id", sa.String(), nullable=False),
        sa.Column("binding_id", sa.String(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["member.account_id"],
        ),
        sa.PrimaryKeyConstraint("account_id", "role_id", "department_id"),
        sa.UniqueConstraint("binding_id"),
    )
    op.create_index("binding_department", "binding", ["department_id"], unique=False)
    op.create_index("binding_role", "binding", ["role_id", "account_id", "department_id"], unique=False)
    op.create_table(
        "role_permission",
        sa.Column("role_id", sa.String(), nullable=False),
        sa.Column("permission", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["role_id"],
            ["role.role_id"],
        ),
        sa.PrimaryKeyConstraint("role_id", "permission"),
    )
    op.execute(
        "INSERT INTO member_grant (account_id, version, waiting, sequence)"
        " SELECT account_id, 1, true, 0 FROM member WHERE status = 'DISABLED'"
        " UNION SELECT entity_id, 1, true, 0 FROM outbox WHERE subject = 'yunhui.directory.member.deleted'"
        " AND entity_id NOT IN (SELECT account_id FROM member)"
    )
