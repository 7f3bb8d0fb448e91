"""The people of the stand-in's enterprise: who they are, and the call that lists them."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from services.standin.request_checks import Refusal

if TYPE_CHECKING:
    from services.standin.cloud import Cloud

LARGEST_PAGE = 100
DEPARTMENTS = ("研发", "研发/平台", "市场")


@dataclass(slots=True)
class CloudUser:
    """`departments` are full names, the main one first; `status` and `account_type` are the original's numbers."""

    userid: str
    username: str = ""
    email: str = ""
    area: str = "86"
    phone: str = ""
    staff_id: str = ""
    job_title: str = ""
    status: int = 1
    account_type: int = 2
    departments: list[str] = field(default_factory=list)

    def told(self) -> dict[str, Any]:
        return {
            "userid": self.userid,
            "uuid": f"uuid-{self.userid}",
            "username": self.username or self.userid,
            "area": self.area,
            "phone": self.phone,
            "phone_status": int(bool(self.phone)),
            "email": self.email,
            "email_status": int(bool(self.email)),
            "status": str(self.status),
            "staff_id": self.staff_id,
            "job_title": self.job_title,
            "user_account_type": self.account_type,
            "department_list": [self._department(place, name) for place, name in enumerate(self.departments)],
        }

    def _department(self, place: int, full_name: str) -> dict[str, Any]:
        return {
            "department_id": f"d-{full_name}",
            "department_name": full_name.rpartition("/")[2],
            "department_full_name": full_name,
            "is_main": place == 0,
        }


def invented(number: int) -> CloudUser:
    """user-1, user-2 and so on: nobody who exists."""
    return CloudUser(
        userid=f"user-{number}",
        username=f"User {number}",
        email=f"user-{number}@example.com",
        staff_id=f"S{number:05}",
        departments=[DEPARTMENTS[number % len(DEPARTMENTS)]],
    )


def list_users(cloud: "Cloud", query: dict[str, str]) -> dict[str, Any]:
    """From the position on, in the order of their ids. Raises Refusal."""
    caller = query.get("operator_id", "")
    if query.get("operator_id_type") != "1":
        raise Refusal(190004, "operator_id_type must be 1")
    if caller not in cloud.users:
        raise Refusal(190001, "USER NOT REGISTERED")
    if caller != cloud.admin:
        raise Refusal(500014, "NO PERMISSION", 403)
    start, size = int(query.get("pos") or 0), int(query.get("size", 20))
    found = cloud.everybody()
    if not 1 <= size <= LARGEST_PAGE:
        raise Refusal(190004, f"size must be 1 to {LARGEST_PAGE}")
    if start and not 0 < start < len(found):
        raise Refusal(190004, "there is no such pos")
    end = start + size
    answer = {"users": [each.told() for each in found[start:end]], "has_remaining": end < len(found)}
    return answer | ({"next_pos": str(end)} if end < len(found) else {})
