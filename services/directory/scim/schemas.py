"""What the directory tells identity providers of itself: the attributes that it keeps, and what it can do."""

from collections.abc import Collection
from typing import Annotated, Any, Union, cast

from pydantic import Field, PrivateAttr
from scim2_models import (
    URN,
    AuthenticationScheme,
    Bulk,
    CaseExact,
    ChangePassword,
    ComplexAttribute,
    ETag,
    ExtensibleStringEnum,
    Extension,
    Filter,
    Mutability,
    Pagination,
    Patch,
    Reference,
    Required,
    Resource,
    ResourceType,
    ScimPolicy,
    ScimProvider,
    ServiceProviderConfig,
    Sort,
    Uniqueness,
)

CORE = "urn:ietf:params:scim:schemas:core:2.0"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
MOST_BYTES = 1024 * 1024
"""Of a request."""
MOST_OPERATIONS = 500
"""Of a bulk request."""
MOST_RESULTS = 500
USUAL_RESULTS = 100


class EmailType(ExtensibleStringEnum):
    work = "work"
    home = "home"
    other = "other"


class PhoneType(ExtensibleStringEnum):
    work = "work"
    mobile = "mobile"
    home = "home"
    other = "other"


class ScimName(ComplexAttribute):
    formatted: str | None = None
    family_name: str | None = None
    given_name: str | None = None


class ScimEmail(ComplexAttribute):
    value: str | None = None
    type: EmailType | None = None
    primary: bool | None = None


class ScimPhone(ComplexAttribute):
    value: str | None = None
    type: PhoneType | None = None
    primary: bool | None = None


class ScimUserGroup(ComplexAttribute):
    value: Annotated[str | None, Mutability.read_only, CaseExact.true] = None
    ref: Annotated[Reference["Group"] | None, Mutability.read_only] = Field(  # type: ignore[name-defined] # noqa: F821
        None, serialization_alias="$ref", validation_alias="$ref"
    )
    display: Annotated[str | None, Mutability.read_only] = None


class ScimUser(Resource[Any]):
    """A person of the organization."""

    __schema__ = URN(f"{CORE}:User")

    user_name: Annotated[str | None, Uniqueness.server, Required.true] = None
    name: ScimName | None = None
    display_name: str | None = None
    title: str | None = None
    active: bool | None = None
    emails: list[ScimEmail] | None = None
    phone_numbers: list[ScimPhone] | None = None
    groups: Annotated[list[ScimUserGroup] | None, Mutability.read_only] = None


class EnterpriseUser(Extension):
    """What an employer knows of a person."""

    __schema__ = URN(ENTERPRISE)

    employee_number: Annotated[str | None, CaseExact.true] = None
    department: Annotated[str | None, CaseExact.true] = None


class ScimGroupMember(ComplexAttribute):
    value: Annotated[str | None, Mutability.immutable, CaseExact.true] = None
    ref: Annotated[Reference[Union["User", "Group"]] | None, Mutability.immutable] = Field(  # type: ignore[name-defined] # noqa: F821
        None, serialization_alias="$ref", validation_alias="$ref"
    )
    type: Annotated[str | None, Mutability.immutable] = Field(None, examples=["User", "Group"])


class ScimGroup(Resource[Any]):
    """A department."""

    __schema__ = URN(f"{CORE}:Group")

    display_name: Annotated[str | None, Required.true] = None
    members: list[ScimGroupMember] | None = None
    _shown: Collection[tuple[str, str]] = PrivateAttr(default=())
    """Kind and id of members that are only to be shown: thousands of objects that check themselves take long."""


ScimUser.__name__, ScimGroup.__name__ = "User", "Group"  # as identity providers read it
DescribedUser = cast(type[ScimUser], ScimUser.__class_getitem__(EnterpriseUser))
"""With the extension, as DescribedUser(...).EnterpriseUser."""


def provider() -> ScimProvider:
    """Attributes that are not kept are read over, and Entra's ways of writing a change are understood."""
    return ScimProvider(
        models=[ScimUser, ScimGroup, EnterpriseUser],
        resource_types=[ResourceType.from_resource(DescribedUser), ResourceType.from_resource(ScimGroup)],
        config=configuration(),
        policy=ScimPolicy(
            unknown=ScimPolicy.Unknown.ignore,
            remove_value_as_filter=ScimPolicy.RemoveValue.apply,
            unmatched_path_filter=ScimPolicy.UnmatchedPathFilter.create,
        ),
    )


def configuration() -> ServiceProviderConfig:
    bearer = AuthenticationScheme(
        type=AuthenticationScheme.Type.oauthbearertoken,
        name="OAuth Bearer Token",
        description="A token that an administrator had made with `yunhui organization scim-tokens create`",
        primary=True,
    )
    return ServiceProviderConfig(
        patch=Patch(supported=True),
        bulk=Bulk(supported=True, max_operations=MOST_OPERATIONS, max_payload_size=MOST_BYTES),
        filter=Filter(supported=True, max_results=MOST_RESULTS),
        change_password=ChangePassword(supported=False),
        sort=Sort(supported=False),
        etag=ETag(supported=True),
        authentication_schemes=[bearer],
        pagination=Pagination(cursor=False, index=True, default_page_size=USUAL_RESULTS, max_page_size=MOST_RESULTS),
    )
