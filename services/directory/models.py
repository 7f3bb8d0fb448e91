"""The tables of the directory. Times are epoch milliseconds."""

from typing import Any

import sqlalchemy as sa
from sqlmodel import Field, Index, SQLModel

from services.platform.data import audit
from services.platform.messaging import outbox

SORTED: Any = sa.String().with_variant(sa.String(collation="C"), "postgresql")
"""Text in the order of its characters, on both databases."""


def time_column(**options: Any) -> Any:
    return Field(sa_type=sa.BigInteger, **options)


class Department(SQLModel, table=True):
    """A node of the tree. No two children of one parent have the same name."""

    __table_args__ = (
        Index("department_name", "parent_id", "display_name", unique=True),
        Index("department_path", "path"),  # all below one
    )

    department_id: str = Field(primary_key=True)
    parent_id: str = Field(description="empty at the top")
    display_name: str
    search_text: str = Field(description="search.to_text of the name")
    position: int = Field(description="among its siblings, from 0, without gaps")
    path: str = Field(sa_type=SORTED, description="ids from the top down to its own, each with / behind it")
    version: int
    create_time: int = time_column()
    update_time: int = time_column()


class Member(SQLModel, table=True):
    __table_args__ = (
        Index("member_order", "sort_name", "account_id"),
        Index("member_newest", "create_time", "account_id"),
        Index("member_licence", "licence_assign_time", sqlite_where=sa.text("licence_assign_time IS NOT NULL")),
    )

    account_id: str = Field(primary_key=True)
    display_name: str
    sort_name: str = Field(sa_type=SORTED, description="search.to_order of the name")
    search_text: str = Field(description="search.to_text of all that a member is found by")
    email: str
    phone: str
    title: str
    staff_id: str | None = Field(unique=True)
    provider_user_id: str | None = Field(unique=True)
    status: str = Field(description="MemberStatus without its prefix")
    licence_assign_time: int | None = time_column(description="NULL: a free account")
    verified: bool
    version: int
    create_time: int = time_column()
    update_time: int = time_column()


class Membership(SQLModel, table=True):
    """That a member belongs to a department; one of each member's is the main one."""

    __table_args__ = (
        Index("membership_main", "account_id", unique=True, sqlite_where=sa.text("main")),
        Index("membership_department", "department_id", "main", "account_id"),
    )

    account_id: str = Field(primary_key=True, foreign_key="member.account_id")
    department_id: str = Field(primary_key=True, foreign_key="department.department_id")
    main: bool


class Organization(SQLModel, table=True):
    """The one row of the organization; the first migration writes it."""

    id: int = Field(default=1, primary_key=True)
    display_name: str
    provider_organization_id: str
    provider_name: str
    edition: str = Field(description="Edition without its prefix; empty when nobody said")
    contacts: bytes = Field(sa_type=sa.LargeBinary, description="yunhui.directory.v1.Contacts")
    version: int
    licences_seq: int = Field(description="number of the events licences_changed so far")
    update_time: int | None = time_column()


class LicencePurchase(SQLModel, table=True):
    __tablename__ = "licence_purchase"

    purchase_id: str = Field(primary_key=True)
    count: int
    start_time: int = time_column()
    end_time: int = time_column()
    note: str


class Import(SQLModel, table=True):
    """A table of people that is to be taken in. Its parts go when it was read, its rows when it has ended."""

    __table_args__ = (Index("import_newest", "create_time", "import_id"),)

    import_id: str = Field(primary_key=True)
    file_name: str
    state: str = Field(description="ImportState without its prefix")
    uploaded_bytes: int
    head: str = Field(sa_type=sa.Text, description="JSON: the cells of the first row; empty before it was read")
    summary: bytes | None = Field(sa_type=sa.LargeBinary, description="yunhui.directory.v1.ImportSummary")
    actor: str
    create_time: int = time_column()
    check_time: int | None = time_column()
    apply_time: int | None = time_column()


class ImportPart(SQLModel, table=True):
    __tablename__ = "import_part"

    import_id: str = Field(primary_key=True, foreign_key="import.import_id")
    start: int = Field(primary_key=True, description="bytes before it")
    content: bytes = Field(sa_type=sa.LargeBinary)


class ImportRow(SQLModel, table=True):
    __tablename__ = "import_row"

    import_id: str = Field(primary_key=True, foreign_key="import.import_id")
    line: int = Field(primary_key=True)
    given: str = Field(sa_type=sa.Text, description="JSON: import_columns.Given")
    verdict: str = Field(description="ImportVerdict without its prefix")
    told: bytes = Field(sa_type=sa.LargeBinary, description="yunhui.directory.v1.ImportRow")


TABLES: list[type[SQLModel]] = [
    *(Department, Member, Membership, Organization, LicencePurchase, Import, ImportPart, ImportRow),
    *outbox.TABLES,
    *audit.TABLES,
]
DEPARTMENT = SQLModel.metadata.tables["department"]
MEMBER = SQLModel.metadata.tables["member"]
MEMBERSHIP = SQLModel.metadata.tables["membership"]
ORGANIZATION = SQLModel.metadata.tables["organization"]
PURCHASE = SQLModel.metadata.tables["licence_purchase"]
IMPORT = SQLModel.metadata.tables["import"]
IMPORT_PART = SQLModel.metadata.tables["import_part"]
IMPORT_ROW = SQLModel.metadata.tables["import_row"]
