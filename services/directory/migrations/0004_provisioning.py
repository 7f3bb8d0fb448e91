"""What identity providers say, and the tokens that prove them."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "provisioning_token",
        sa.Column("display_name", sa.String(), nullable=False),
        sa.Column("token_hash", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("display_name"),
    )
    op.create_table(
        "provisioned_member",
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("user_name", sa.String(), nullable=False),
        sa.Column("user_name_key", sa.String(), nullable=False),
        sa.Column("external_id", sa.String(), nullable=True),
        sa.Column("formatted_name", sa.String(), nullable=True),
        sa.Column("given_name", sa.String(), nullable=True),
        sa.Column("family_name", sa.String(), nullable=True),
        sa.Column("display_name_said", sa.Boolean(), nullable=False),
        sa.Column("active_said", sa.Boolean(), nullable=False),
        sa.Column("email_type", sa.String(), nullable=True),
        sa.Column("email_primary", sa.Boolean(), nullable=True),
        sa.Column("phone_said", sa.String(), nullable=True),
        sa.Column("phone_type", sa.String(), nullable=True),
        sa.Column("phone_primary", sa.Boolean(), nullable=True),
        sa.Column("department_id", sa.String(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("update_time", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["member.account_id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["department_id"], ["department.department_id"], ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("account_id"),
    )
    op.create_index("provisioned_member_department", "provisioned_member", ["department_id"], unique=False)
    op.create_index("provisioned_member_external_id", "provisioned_member", ["external_id"], unique=True)
    op.create_index("provisioned_member_user_name", "provisioned_member", ["user_name_key"], unique=True)
    op.create_table(
        "provisioned_department",
        sa.Column("department_id", sa.String(), nullable=False),
        sa.Column("external_id", sa.String(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("update_time", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["department_id"], ["department.department_id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("department_id"),
    )
    op.create_index("provisioned_department_external_id", "provisioned_department", ["external_id"], unique=True)
