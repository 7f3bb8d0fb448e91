"""The ledger of meetings: what was heard of them, who was inside, how well, and what was done to them."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "control_act",
        sa.Column("act_id", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("roles", sa.String(), nullable=False),
        sa.Column("method", sa.String(), nullable=False),
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("order_hash", sa.LargeBinary(), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("meeting_id", sa.String(), nullable=False),
        sa.Column("sub_meeting_id", sa.String(), nullable=False),
        sa.Column("creator", sa.String(), nullable=False),
        sa.Column("verb", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("refusal", sa.String(), nullable=False),
        sa.Column("provider_message", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("people", sa.Text(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("finish_time", sa.BigInteger(), nullable=True),
        sa.Column("give_up_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("act_id"),
    )
    op.create_index(
        "control_act_meeting",
        "control_act",
        ["provider", "meeting_id", "sub_meeting_id", "create_time", "act_id"],
        unique=False,
    )
    op.create_index(
        "control_act_pending",
        "control_act",
        ["give_up_time"],
        unique=False,
        sqlite_where=sa.text("outcome = ''"),
        postgresql_where=sa.text("outcome = ''"),
    )
    op.create_index("control_act_request", "control_act", ["actor", "request_id"], unique=True)
    op.create_table(
        "meeting",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("meeting_id", sa.String(), nullable=False),
        sa.Column("sub_meeting_id", sa.String(), nullable=False),
        sa.Column("meeting_code", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("subject_folded", sa.String(), nullable=False),
        sa.Column("creator", sa.String(), nullable=False),
        sa.Column("creator_name", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("start_time", sa.BigInteger(), nullable=False),
        sa.Column("end_time", sa.BigInteger(), nullable=False),
        sa.Column("phase", sa.String(), nullable=False),
        sa.Column("sort_time", sa.BigInteger(), nullable=False),
        sa.Column("begin_time", sa.BigInteger(), nullable=False),
        sa.Column("over_time", sa.BigInteger(), nullable=False),
        sa.Column("actual_start", sa.BigInteger(), nullable=True),
        sa.Column("actual_end", sa.BigInteger(), nullable=True),
        sa.Column("inside_count", sa.Integer(), nullable=False),
        sa.Column("came_count", sa.Integer(), nullable=False),
        sa.Column("as_of", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("subject_time", sa.BigInteger(), nullable=False),
        sa.Column("times_time", sa.BigInteger(), nullable=False),
        sa.Column("plan_time", sa.BigInteger(), nullable=False),
        sa.Column("coming_time", sa.BigInteger(), nullable=False),
        sa.Column("cancel_time", sa.BigInteger(), nullable=False),
        sa.Column("first_sign", sa.BigInteger(), nullable=False),
        sa.Column("entry_time", sa.BigInteger(), nullable=False),
        sa.Column("nameless_time", sa.BigInteger(), nullable=False),
        sa.Column("empty_time", sa.BigInteger(), nullable=False),
        sa.Column("ended_time", sa.BigInteger(), nullable=False),
        sa.Column("listed_time", sa.BigInteger(), nullable=False),
        sa.Column("listed_people", sa.Integer(), nullable=True),
        sa.Column("listed_came", sa.Integer(), nullable=False),
        sa.Column("listed_end", sa.BigInteger(), nullable=False),
        sa.Column("visits_due", sa.BigInteger(), nullable=False),
        sa.Column("visits_since", sa.BigInteger(), nullable=False),
        sa.Column("visits_until", sa.BigInteger(), nullable=False),
        sa.Column("visits_complete", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("meeting_key", "meeting", ["provider", "meeting_id", "sub_meeting_id"], unique=True)
    op.create_index(
        "meeting_listed",
        "meeting",
        ["phase", "sort_time", "id", "begin_time", "over_time", "kind", "subject_folded"],
        unique=False,
    )
    op.create_index("meeting_of_code", "meeting", ["meeting_code", "phase", "sort_time", "id"], unique=False)
    op.create_index("meeting_of_creator", "meeting", ["creator", "phase", "sort_time", "id"], unique=False)
    op.create_index("meeting_version", "meeting", ["version"], unique=False)
    op.create_index(
        "meeting_visits_due",
        "meeting",
        ["visits_due"],
        unique=False,
        sqlite_where=sa.text("visits_due > 0"),
        postgresql_where=sa.text("visits_due > 0"),
    )
    op.create_table(
        "meeting_counter",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("last_version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.execute("INSERT INTO meeting_counter (id, last_version) VALUES (1, 0)")
    op.create_table(
        "quality_sample",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("meeting_row", sa.BigInteger(), nullable=False),
        sa.Column("sample_time", sa.BigInteger(), nullable=False),
        sa.Column("person", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("display_name", sa.String(), nullable=False),
        sa.Column("delay", sa.Float(), nullable=True),
        sa.Column("upstream_loss", sa.Float(), nullable=True),
        sa.Column("downstream_loss", sa.Float(), nullable=True),
        sa.Column("bad", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "quality_sample_account", "quality_sample", ["meeting_row", "account", "sample_time", "id"], unique=False
    )
    op.create_index("quality_sample_meeting", "quality_sample", ["meeting_row", "sample_time", "id"], unique=False)
    op.create_index("quality_sample_time", "quality_sample", ["sample_time"], unique=False)
    op.create_table(
        "sweep",
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("phase", sa.String(), nullable=False),
        sa.Column("read_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("provider", "phase"),
    )
    op.create_table(
        "visit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("meeting_row", sa.BigInteger(), nullable=False),
        sa.Column("person", sa.String(), nullable=False),
        sa.Column("terminal", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("display_name", sa.String(), nullable=False),
        sa.Column("enter_time", sa.BigInteger(), nullable=True),
        sa.Column("left_mark", sa.BigInteger(), nullable=True),
        sa.Column("leave_time", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("visit_entered", "visit", ["meeting_row", "enter_time", "id"], unique=False)
    op.create_index("visit_of_person", "visit", ["meeting_row", "person", "terminal"], unique=False)
