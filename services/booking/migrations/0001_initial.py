"""The first form of the tables."""

import sqlalchemy as sa
from alembic import op

from services.platform.data.migrations import make_append_only

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("roles", sa.String(), nullable=False),
        sa.Column("method", sa.String(), nullable=False),
        sa.Column("target_kind", sa.String(), nullable=False),
        sa.Column("target_id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("previous_hash", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    make_append_only("audit")
    op.create_table(
        "account",
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("event_seq", sa.Integer(), nullable=False),
        sa.Column("display_name", sa.String(), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("locale", sa.String(), nullable=False),
        sa.Column("department", sa.String(), nullable=False),
        sa.Column("roles", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("account_id"),
    )
    op.create_table(
        "answer",
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("body_hash", sa.LargeBinary(), nullable=False),
        sa.Column("response", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("actor", "request_id"),
    )
    op.create_table(
        "calendar_feed",
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("fetch_time", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("account_id"),
        sa.UniqueConstraint("secret_hash"),
    )
    op.create_table(
        "deadline",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("entity_id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("due_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "entity_id"),
    )
    op.create_index("deadline_account", "deadline", ["account_id", "due_time"], unique=False)
    op.create_index("deadline_due", "deadline", ["due_time"], unique=False)
    op.create_table(
        "decision",
        sa.Column("decision_id", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("effect", sa.String(), nullable=False),
        sa.Column("policy_version", sa.String(), nullable=False),
        sa.Column("reservation_id", sa.String(), nullable=True),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("decision", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("decision_id"),
    )
    op.create_index("decision_reservation", "decision", ["reservation_id", "action"], unique=False)
    op.create_table(
        "outbox",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("entity_id", sa.String(), nullable=False),
        sa.Column("entity_seq", sa.Integer(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("publish_time", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("event_id"),
    )
    op.create_index("outbox_entity", "outbox", ["entity_id", "entity_seq"], unique=False)
    op.create_index(
        "outbox_unpublished",
        "outbox",
        ["seq"],
        unique=False,
        sqlite_where=sa.text("publish_time IS NULL"),
        postgresql_where=sa.text("publish_time IS NULL"),
    )
    op.create_table(
        "outbox_owner",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("lease_end", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "room",
        sa.Column("room_id", sa.String(), nullable=False),
        sa.Column("display_name", sa.String(), nullable=False),
        sa.Column("capacity", sa.Integer(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("room_id"),
    )
    op.create_table(
        "suspension",
        sa.Column("suspension_id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("start_time", sa.BigInteger(), nullable=False),
        sa.Column("end_time", sa.BigInteger(), nullable=False),
        sa.Column("decision_id", sa.String(), nullable=False),
        sa.Column("lift_time", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("suspension_id"),
    )
    op.create_index("suspension_account", "suspension", ["account_id", "end_time"], unique=False)
    op.create_table(
        "violation",
        sa.Column("violation_id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("reservation_id", sa.String(), nullable=False),
        sa.Column("violation_time", sa.BigInteger(), nullable=False),
        sa.Column("decision_id", sa.String(), nullable=False),
        sa.Column("waived", sa.Boolean(), nullable=False),
        sa.Column("waived_by", sa.String(), nullable=False),
        sa.Column("waive_note", sa.String(), nullable=False),
        sa.Column("waive_time", sa.BigInteger(), nullable=True),
        sa.Column("waive_lifted", sa.Boolean(), nullable=False),
        sa.Column("suspension_id", sa.String(), nullable=True),
        sa.Column("objection_text", sa.Text(), nullable=False),
        sa.Column("objection_time", sa.BigInteger(), nullable=True),
        sa.Column("objection_outcome", sa.String(), nullable=False),
        sa.Column("objection_answered_by", sa.String(), nullable=False),
        sa.Column("objection_answer_note", sa.String(), nullable=False),
        sa.Column("objection_answer_time", sa.BigInteger(), nullable=True),
        sa.Column("objection_order", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("violation_id"),
        sa.UniqueConstraint("reservation_id"),
    )
    op.create_index("violation_account", "violation", ["account_id", "violation_time"], unique=False)
    op.create_index("violation_objection", "violation", ["objection_order", "violation_id"], unique=False)
    op.create_table(
        "reservation",
        sa.Column("reservation_id", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("meeting_code", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("start_time", sa.BigInteger(), nullable=False),
        sa.Column("end_time", sa.BigInteger(), nullable=False),
        sa.Column("participant_count", sa.Integer(), nullable=False),
        sa.Column("room_id", sa.String(), nullable=True),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("update_time", sa.BigInteger(), nullable=False),
        sa.Column("enter_time", sa.BigInteger(), nullable=True),
        sa.Column("cancel_time", sa.BigInteger(), nullable=True),
        sa.Column("release_time", sa.BigInteger(), nullable=True),
        sa.Column("decision_id", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("meeting_id", sa.String(), nullable=False),
        sa.Column("sub_meeting_id", sa.String(), nullable=False),
        sa.Column("meeting_state", sa.String(), nullable=False),
        sa.Column("meeting_start_time", sa.BigInteger(), nullable=True),
        sa.Column("meeting_end_time", sa.BigInteger(), nullable=True),
        sa.Column("attendance", sa.String(), nullable=False),
        sa.Column("ask_time", sa.BigInteger(), nullable=True),
        sa.Column("ask_count", sa.Integer(), nullable=False),
        sa.Column("unknown_reason", sa.String(), nullable=False),
        sa.Column("resolved_by", sa.String(), nullable=False),
        sa.CheckConstraint("NOT (state IN ('CONFIRMED', 'IN_USE')) OR room_id IS NOT NULL", name="reservation_room"),
        sa.CheckConstraint("start_time < end_time AND end_time - start_time <= 86400000", name="reservation_interval"),
        sa.ForeignKeyConstraint(
            ["room_id"],
            ["room.room_id"],
        ),
        sa.PrimaryKeyConstraint("reservation_id"),
    )
    op.create_index("reservation_account", "reservation", ["account_id", "start_time", "reservation_id"], unique=False)
    op.create_index(
        "reservation_held",
        "reservation",
        ["start_time", "end_time", "room_id", "reservation_id"],
        unique=False,
        sqlite_where=sa.text("state IN ('CONFIRMED', 'IN_USE')"),
        postgresql_where=sa.text("state IN ('CONFIRMED', 'IN_USE')"),
    )
    op.create_index(
        "reservation_holding",
        "reservation",
        ["room_id", "end_time"],
        unique=False,
        sqlite_where=sa.text("state IN ('CONFIRMED', 'IN_USE')"),
        postgresql_where=sa.text("state IN ('CONFIRMED', 'IN_USE')"),
    )
    live = "state IN ('PENDING_APPROVAL', 'CONFIRMED', 'IN_USE') AND meeting_id <> ''"
    op.create_index(
        "reservation_meeting",
        "reservation",
        ["meeting_id", "sub_meeting_id", "provider"],
        unique=True,
        sqlite_where=sa.text(live),
        postgresql_where=sa.text(live),
    )
    op.create_index("reservation_start", "reservation", ["start_time", "reservation_id"], unique=False)
    op.create_index("reservation_state", "reservation", ["state", "start_time", "reservation_id"], unique=False)
    raise_walls()


def raise_walls() -> None:
    """Behind the choice of rooms: no bug can give one room to two reservations at a time."""
    if op.get_bind().dialect.name == "sqlite":
        for when in ("INSERT", "UPDATE"):
            op.execute(  # the words that are filled in are ours
                f"CREATE TRIGGER reservation_overlap_{when.lower()} BEFORE {when} ON reservation"  # noqa: S608
                " WHEN NEW.state IN ('CONFIRMED', 'IN_USE') BEGIN"
                " SELECT RAISE(ABORT, 'the room is taken') WHERE EXISTS ("
                "SELECT 1 FROM reservation WHERE room_id = NEW.room_id AND state IN ('CONFIRMED', 'IN_USE')"
                " AND start_time < NEW.end_time AND end_time > NEW.start_time"
                " AND reservation_id <> NEW.reservation_id);"
                " END"
            )
    else:
        op.execute("CREATE EXTENSION IF NOT EXISTS btree_gist")
        op.execute(
            "ALTER TABLE reservation ADD CONSTRAINT reservation_overlap EXCLUDE USING gist"
            " (room_id WITH =, int8range(start_time, end_time, '[)') WITH &&)"
            " WHERE (state IN ('CONFIRMED', 'IN_USE'))"
        )
