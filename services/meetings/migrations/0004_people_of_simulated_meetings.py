"""People in simulated meetings have devices, wait, and are steered."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "simulated_invitation",
        sa.Column("meeting_id", sa.BigInteger(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["meeting_id"],
            ["simulated_meeting.id"],
        ),
        sa.PrimaryKeyConstraint("meeting_id", "account"),
    )
    op.create_table(
        "simulated_removal",
        sa.Column("meeting_id", sa.BigInteger(), nullable=False),
        sa.Column("occurrence", sa.Integer(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["meeting_id"],
            ["simulated_meeting.id"],
        ),
        sa.PrimaryKeyConstraint("meeting_id", "occurrence", "person_id"),
    )
    op.create_table(
        "simulated_settings",
        sa.Column("meeting_id", sa.BigInteger(), nullable=False),
        sa.Column("occurrence", sa.Integer(), nullable=False),
        sa.Column("mute_all", sa.Boolean(), nullable=False),
        sa.Column("may_unmute", sa.Boolean(), nullable=False),
        sa.Column("mute_on_entry", sa.String(), nullable=False),
        sa.Column("locked", sa.Boolean(), nullable=False),
        sa.Column("waiting_room", sa.Boolean(), nullable=False),
        sa.Column("hide_number", sa.Boolean(), nullable=False),
        sa.Column("organization_only", sa.Boolean(), nullable=False),
        sa.Column("may_share", sa.Boolean(), nullable=False),
        sa.Column("chat", sa.String(), nullable=False),
        sa.Column("red_envelopes", sa.Boolean(), nullable=False),
        sa.Column("entry_sound", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["meeting_id"],
            ["simulated_meeting.id"],
        ),
        sa.PrimaryKeyConstraint("meeting_id", "occurrence"),
    )
    op.create_table(
        "simulated_waiting",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("meeting_id", sa.BigInteger(), nullable=False),
        sa.Column("occurrence", sa.Integer(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("display_name", sa.String(), nullable=False),
        sa.Column("terminal", sa.String(), nullable=False),
        sa.Column("enter_time", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["meeting_id"],
            ["simulated_meeting.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("simulated_waiting_meeting", "simulated_waiting", ["meeting_id", "occurrence"], unique=False)
    nothing, no = sa.text("''"), sa.false()
    for column in (
        sa.Column("person_id", sa.String(), server_default=nothing, nullable=False),
        sa.Column("display_name", sa.String(), server_default=nothing, nullable=False),
        sa.Column("terminal", sa.String(), server_default=nothing, nullable=False),
        sa.Column("role", sa.String(), server_default="MEMBER", nullable=False),
        sa.Column("microphone", sa.Boolean(), server_default=no, nullable=False),
        sa.Column("camera", sa.Boolean(), server_default=no, nullable=False),
        sa.Column("sharing", sa.Boolean(), server_default=no, nullable=False),
        sa.Column("connection", sa.String(), server_default="USUAL", nullable=False),
    ):
        op.add_column("simulated_visit", column)
