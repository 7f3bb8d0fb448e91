"""The organization of the simulated provider: a few invented users in some departments, always the same."""

from services.meetings.provider import NoSuchPageError, OrganizationUser, UserPage, UserStatus

PAGE = 5
"""Small, so that there are several."""
DEPARTMENTS = (("Research",), ("Research", "Networks"), ("Library",))
NOT_ACTIVATED, DISABLED = 11, 12
USERS = tuple(
    OrganizationUser(
        user_id=f"user-{number}",
        account=f"user-{number}",
        display_name=f"User {number}",
        email=f"user-{number}@example.com",
        staff_id=f"S{number:03}",
        departments=(DEPARTMENTS[number % len(DEPARTMENTS)],),
        status={NOT_ACTIVATED: UserStatus.NOT_ACTIVATED, DISABLED: UserStatus.DISABLED}.get(number, UserStatus.ENABLED),
        advanced=False,
    )
    for number in range(1, 13)
)


def page(position: str) -> UserPage:
    """`position`: how many come before it."""
    start = int(position) if position.isascii() and position.isdigit() and len(position) < 10 else 0
    if position and not 0 < start < len(USERS):
        raise NoSuchPageError("there is no such page of users")
    end = start + PAGE
    return UserPage(USERS[start:end], str(end) if end < len(USERS) else "")
