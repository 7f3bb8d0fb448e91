"""The tables of the directory. Times are epoch milliseconds."""

from typing import Any

import sqlalchemy as sa
from sqlmodel import Field, Index, SQLModel

from services.platform.data import audit
from services.platform.messaging import outbox

SHUT_OUT = ("DISABLED", "WAITING")
"""States of a member who may do nothing."""
SORTED: Any = sa.String().with_variant(sa.String(collation="C"), "postgresql")
"""Text in the order of its characters, on both databases."""

FACTS = ("main_department_id", "status", "licence_assign_time", "verified")
"""Of a member, by which lists are narrowed: indexes have them, so that nobody's row is read to be counted."""


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
    member_count_below: int = Field(
        sa_column_kwargs={"server_default": "0"}, description="members in it or below, each once: memberships.py"
    )
    version: int
    create_time: int = time_column()
    update_time: int = time_column()


class Member(SQLModel, table=True):
    __table_args__ = (
        Index("member_order", "sort_name", "account_id", *FACTS),
        Index("member_newest", "create_time", "account_id", *FACTS),
        Index("member_facts", *FACTS),
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
    main_department_id: str = Field(
        sa_column_kwargs={"server_default": sa.text("''")},
        description="of the main membership, empty without any: not looked up for each who is searched through",
    )
    hidden: bool = Field(
        sa_column_kwargs={"server_default": sa.false()}, description="from others, in the address book"
    )
    card_text: str = Field(
        sa_column_kwargs={"server_default": sa.text("''")},
        description="search.to_text of what every card says: other fields are for those who see them",
    )
    sign_in_time: int | None = time_column(description="the last time; NULL: not yet")
    version: int
    create_time: int = time_column()
    update_time: int = time_column()


class Membership(SQLModel, table=True):
    """That a member belongs to a department; one of each member's is the main one."""

    __table_args__ = (
        Index("membership_main", "account_id", unique=True, sqlite_where=sa.text("main")),
        Index("membership_department", "department_id", "main", "main_department_id", "account_id"),
    )

    account_id: str = Field(primary_key=True, foreign_key="member.account_id")
    department_id: str = Field(primary_key=True, foreign_key="department.department_id")
    main: bool
    main_department_id: str = Field(
        sa_column_kwargs={"server_default": sa.text("''")},
        description="which is the main one: whoever looks for members elsewhere need not look them up",
    )


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
    joining: bytes | None = Field(sa_type=sa.LargeBinary, description="yunhui.directory.v1.Joining; NULL: off")
    update_time: int | None = time_column()
    visibility: bytes | None = Field(
        sa_type=sa.LargeBinary, description="yunhui.directory.v1.Visibility, without paths; NULL: as it is at first"
    )


class LicencePurchase(SQLModel, table=True):
    __tablename__ = "licence_purchase"

    purchase_id: str = Field(primary_key=True)
    count: int
    start_time: int = time_column()
    end_time: int = time_column()
    note: str


class Role(SQLModel, table=True):
    """One of the organization's own; built-in ones stand in permissions.BUILT_IN."""

    role_id: str = Field(primary_key=True)
    display_name: str = Field(unique=True)
    description: str
    version: int
    create_time: int = time_column()
    update_time: int = time_column()


class RolePermission(SQLModel, table=True):
    __tablename__ = "role_permission"

    role_id: str = Field(primary_key=True, foreign_key="role.role_id")
    permission: str = Field(primary_key=True)


class Binding(SQLModel, table=True):
    """That a member has a role, built-in or not."""

    __table_args__ = (
        Index("binding_role", "role_id", "account_id", "department_id"),
        Index("binding_department", "department_id"),
    )

    account_id: str = Field(primary_key=True, foreign_key="member.account_id")
    role_id: str = Field(primary_key=True)
    department_id: str = Field(primary_key=True, description="for it and all below; empty: everywhere")
    binding_id: str = Field(unique=True)
    create_time: int = time_column()


class Transfer(SQLModel, table=True):
    """That the organization is being handed over: at most one row; it counts until its end."""

    transfer_id: str = Field(primary_key=True)
    from_account_id: str
    to_account_id: str
    create_time: int = time_column()
    end_time: int = time_column()


class MemberGrant(SQLModel, table=True):
    """That an account has, or is to get, a Grant on the bus; also of members that are gone. Rows stay.

    The one without an account is what becomes of strangers (Joining).
    """

    __tablename__ = "member_grant"
    __table_args__ = (Index("member_grant_waiting", "account_id", sqlite_where=sa.text("waiting")),)

    account_id: str = Field(primary_key=True)
    version: int = Field(sa_type=sa.BigInteger, description="of the newest; grows, also over a restored backup")
    waiting: bool = Field(description="it is not published yet")
    sequence: int = Field(sa_type=sa.BigInteger, description="of the last one in the bucket's stream; 0: none yet")


class Import(SQLModel, table=True):
    """People who are to be taken in. Its parts go when they were read, its rows when it has ended."""

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
    source: str = Field(sa_column_kwargs={"server_default": "TABLE"}, description="ImportSource without its prefix")
    fetched_count: int = Field(sa_column_kwargs={"server_default": "0"}, description="people the provider told of")
    page_token: str = Field(
        sa_column_kwargs={"server_default": sa.text("''")}, description="where the provider goes on"
    )
    lease_end: int | None = time_column(description="until then one replica fetches; NULL: nobody does")
    fault: bytes | None = Field(sa_type=sa.LargeBinary, description="yunhui.directory.v1.ImportFault, when it failed")


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


class ProvisioningToken(SQLModel, table=True):
    """What proves an identity provider; the token itself was shown once and is kept nowhere."""

    __tablename__ = "provisioning_token"

    display_name: str = Field(primary_key=True)
    token_hash: str = Field(description="SHA-256, hexadecimal")
    actor: str = Field(description="who had it made")
    create_time: int = time_column()


class ProvisionedMember(SQLModel, table=True):
    """What an identity provider says of a member and the directory itself has no use for."""

    __tablename__ = "provisioned_member"
    __table_args__ = (
        Index("provisioned_member_user_name", "user_name_key", unique=True),
        Index("provisioned_member_external_id", "external_id", unique=True),
        Index("provisioned_member_department", "department_id"),
    )

    account_id: str = Field(primary_key=True, foreign_key="member.account_id", ondelete="CASCADE")
    user_name: str
    user_name_key: str = Field(description="without regard to capitals")
    external_id: str | None
    formatted_name: str | None
    given_name: str | None
    family_name: str | None
    display_name_said: bool = Field(description="the member's name was said as such, not put together")
    active_said: bool
    email_type: str | None
    email_primary: bool | None
    phone_said: str | None = Field(description="as it was written")
    phone_type: str | None
    phone_primary: bool | None
    department_id: str | None = Field(
        foreign_key="department.department_id",
        ondelete="SET NULL",
        description="that the person's own attribute names, besides those that list them",
    )
    version: int
    update_time: int = time_column()


class ProvisionedDepartment(SQLModel, table=True):
    """What an identity provider says of a department and the directory itself has no use for."""

    __tablename__ = "provisioned_department"
    __table_args__ = (Index("provisioned_department_external_id", "external_id", unique=True),)

    department_id: str = Field(primary_key=True, foreign_key="department.department_id", ondelete="CASCADE")
    external_id: str | None
    version: int
    update_time: int = time_column()


TABLES: list[type[SQLModel]] = [
    *(Department, Member, Membership, Organization, LicencePurchase, Import, ImportPart, ImportRow),
    *(Role, RolePermission, Binding, Transfer, MemberGrant),
    *(ProvisioningToken, ProvisionedMember, ProvisionedDepartment),
    *outbox.TABLES,
    *audit.TABLES,
]
DEPARTMENT = SQLModel.metadata.tables["department"]
MEMBER = SQLModel.metadata.tables["member"]
MEMBERSHIP = SQLModel.metadata.tables["membership"]
ORGANIZATION = SQLModel.metadata.tables["organization"]
PURCHASE = SQLModel.metadata.tables["licence_purchase"]
ROLE = SQLModel.metadata.tables["role"]
ROLE_PERMISSION = SQLModel.metadata.tables["role_permission"]
BINDING = SQLModel.metadata.tables["binding"]
TRANSFER = SQLModel.metadata.tables["transfer"]
MEMBER_GRANT = SQLModel.metadata.tables["member_grant"]
IMPORT = SQLModel.metadata.tables["import"]
IMPORT_PART = SQLModel.metadata.tables["import_part"]
IMPORT_ROW = SQLModel.metadata.tables["import_row"]
PROVISIONING_TOKEN = SQLModel.metadata.tables["provisioning_token"]
PROVISIONED_MEMBER = SQLModel.metadata.tables["provisioned_member"]
PROVISIONED_DEPARTMENT = SQLModel.metadata.tables["provisioned_department"]
