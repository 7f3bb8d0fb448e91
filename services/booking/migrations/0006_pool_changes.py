"""Every change of the pool is noted by the database itself, numbered in the order of commits.

So whoever keeps the pool in memory learns what another replica, an older program or a hand at the database has changed.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

HOLDS = "{0}.state IN ('CONFIRMED', 'IN_USE')"
COLUMNS = "room_id, start_time, end_time, held"
OF_ROW = "{0}.room_id, {0}.start_time, {0}.end_time"
KEPT = 10_000
LOCK = 7_308_052_014  # pool.LOCK


def upgrade() -> None:
    op.create_table(
        "pool_change",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("room_id", sa.String(), nullable=False),
        sa.Column("start_time", sa.BigInteger(), nullable=False),
        sa.Column("end_time", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.Boolean(), nullable=False),
    )
    # never empty: whoever has seen the last row knows that nothing was pruned since
    op.execute(f"INSERT INTO pool_change ({COLUMNS}) VALUES ('', 0, 0, FALSE)")  # noqa: S608 - made of constants
    if op.get_bind().dialect.name == "sqlite":
        note_on_sqlite()
    else:
        note_on_postgresql()


def note_on_sqlite() -> None:
    """One writer at a time: the next number is the next commit."""
    old, new = HOLDS.format("OLD"), HOLDS.format("NEW")
    moved = f"({OF_ROW.format('OLD')}) IS NOT ({OF_ROW.format('NEW')})"
    freed = f"INSERT INTO pool_change ({COLUMNS}) SELECT {OF_ROW.format('OLD')}, FALSE WHERE {old};"
    held = f"INSERT INTO pool_change ({COLUMNS}) SELECT {OF_ROW.format('NEW')}, TRUE WHERE {new};"
    rooms = f"INSERT INTO pool_change ({COLUMNS}) VALUES ('', 0, 0, FALSE);"  # noqa: S608 - made of constants
    _trigger("reservation_holds_insert", "AFTER INSERT ON reservation", new, held)
    changed = f"({old}) <> ({new}) OR ({new} AND {moved})"
    of = "AFTER UPDATE OF state, room_id, start_time, end_time ON reservation"
    _trigger("reservation_holds_update", of, changed, freed + held)
    _trigger("reservation_holds_delete", "AFTER DELETE ON reservation", old, freed)
    for act in ("INSERT", "UPDATE", "DELETE"):
        _trigger(f"room_{act.lower()}", f"AFTER {act} ON room", "TRUE", rooms)
    prune = f"DELETE FROM pool_change WHERE number <= NEW.number - {KEPT};"  # noqa: S608 - made of constants
    _trigger("pool_change_prune", "AFTER INSERT ON pool_change", "NEW.number % 1000 = 0", prune)


def _trigger(name: str, when: str, condition: str, acts: str) -> None:
    op.execute(f"CREATE TRIGGER {name} {when} WHEN {condition} BEGIN {acts} END")


def note_on_postgresql() -> None:
    """The lock is held until the commit, so that numbers are given in the order in which they can be seen."""
    old, new = HOLDS.format("OLD"), HOLDS.format("NEW")
    insert = f"INSERT INTO pool_change ({COLUMNS})"
    op.execute(
        f"""
        CREATE FUNCTION pool_note() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE given bigint;
        BEGIN
            PERFORM pg_advisory_xact_lock({LOCK});
            IF TG_TABLE_NAME = 'room' THEN
                {insert} VALUES ('', 0, 0, FALSE) RETURNING number INTO given;
            ELSE
                IF TG_OP <> 'INSERT' AND {old} THEN
                    {insert} VALUES ({OF_ROW.format("OLD")}, FALSE) RETURNING number INTO given;
                END IF;
                IF TG_OP <> 'DELETE' AND {new} THEN
                    {insert} VALUES ({OF_ROW.format("NEW")}, TRUE) RETURNING number INTO given;
                END IF;
            END IF;
            IF given % 1000 < 2 THEN
                DELETE FROM pool_change WHERE number <= given - {KEPT};
            END IF;
            RETURN NULL;
        END $$
        """  # noqa: S608 - made of constants
    )
    moved = f"({OF_ROW.format('OLD')}) IS DISTINCT FROM ({OF_ROW.format('NEW')})"
    changed = f"({old}) <> ({new}) OR ({new} AND {moved})"
    for act, condition in (("INSERT", new), ("UPDATE", changed), ("DELETE", old)):
        op.execute(
            f"CREATE TRIGGER reservation_holds_{act.lower()} AFTER {act} ON reservation"
            f" FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION pool_note()"
        )
    op.execute(
        "CREATE TRIGGER room_changes AFTER INSERT OR UPDATE OR DELETE ON room FOR EACH ROW EXECUTE FUNCTION pool_note()"
    )
