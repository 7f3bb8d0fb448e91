"""What Tencent Meeting says of a user, in the words of the port."""

from services.meetings.provider import OrganizationUser, UserStatus
from services.meetings.tencent.accounts import Accounts
from services.meetings.tencent.answers import ListedUser, UserDepartment

STATUSES = {
    1: UserStatus.ENABLED,
    2: UserStatus.DISABLED,  # closed
    3: UserStatus.NOT_ACTIVATED,
    4: UserStatus.DISABLED,
    5: UserStatus.NOT_ACTIVATED,  # registered before the person came
}
ADVANCED = {1: True, 2: False, 3: False, 4: True, 5: True, 6: True, 7: True, 8: True, 9: True}
"""Whether `user_account_type` takes a licence; editions call theirs by seats, or not at all."""


def to_user(person: ListedUser, accounts: Accounts) -> OrganizationUser:
    departments = sorted(person.department_list, key=lambda each: not each.is_main)
    return OrganizationUser(
        user_id=person.userid,
        account=accounts.to_account(person.userid),
        display_name=person.username,
        email=person.email,
        phone=to_phone(person.area, person.phone),
        title=person.job_title,
        staff_id=person.staff_id,
        departments=tuple(dict.fromkeys(filter(None, map(to_names, departments)))),
        status=STATUSES.get(person.status, UserStatus.UNKNOWN),
        advanced=ADVANCED.get(person.user_account_type),
    )


def to_phone(area: str, phone: str) -> str:
    """With the country. A number with stars in it says nothing."""
    country = area.strip().lstrip("+") or "86"
    digits = phone.strip()
    return f"+{country}{digits}" if digits.isascii() and digits.isdigit() else ""


def to_names(department: UserDepartment) -> tuple[str, ...]:
    whole = department.department_full_name or department.department_name
    return tuple(name.strip() for name in whole.split("/") if name.strip())
