"""What members see of each other, who is hidden, and by what everybody is found."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

AT_ONCE = 1_000


def upgrade() -> None:
    op.add_column("organization", sa.Column("visibility", sa.LargeBinary(), nullable=True))
    op.add_column("member", sa.Column("hidden", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("member", sa.Column("card_text", sa.String(), nullable=False, server_default=sa.text("''")))
    connection, last = op.get_bind(), ""
    while rows := connection.execute(_PAGE, {"last": last, "limit": AT_ONCE}).all():
        last = rows[-1].account_id
        connection.execute(_SET, [{"id": row.account_id, "text": _without_others(row)} for row in rows])


_PAGE = sa.text(
    "SELECT account_id, search_text, email, staff_id, phone FROM member"
    " WHERE account_id > :last ORDER BY account_id LIMIT :limit"
)
_SET = sa.text("UPDATE member SET card_text = :text WHERE account_id = :id")


def _without_others(row: sa.Row[tuple[str, str, str, str | None, str]]) -> str:
    """Lines of the name, the account id, and what not everybody may see, in that order; none stands there twice."""
    lines = row.search_text.split("\n")[1:-1]
    for other in (row.phone, row.staff_id, row.email):
        if other and lines[1:] and lines[-1] == other.casefold():
            lines.pop()
    account_id = row.account_id.casefold()
    return "\n" + "\n".join(lines if account_id in lines else [*lines, account_id]) + "\n"
