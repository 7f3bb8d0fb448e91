"""An identity provider for tests: it asks the door as one does over HTTP, without the network between."""

from types import TracebackType
from typing import Any, Self

import httpx2
from yunhui.directory.v1 import provisioning_service_pb2 as api

from services.directory import provisioning_tokens
from services.directory.changes import Changes
from services.directory.scim.door import ScimDoor
from services.directory.scim.storage import AccountIdFrom
from tests.directory.conftest import ADMIN

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
NAME = "entra"


async def token(changes: Changes, name: str = NAME) -> str:
    request = api.CreateProvisioningTokenRequest(display_name=name)
    return (await provisioning_tokens.create(changes, request, ADMIN)).secret


class Idp:
    """With its token. `account_id_from` is the directory's setting."""

    def __init__(self, changes: Changes, secret: str, account_id_from: AccountIdFrom = "externalId") -> None:
        door: Any = ScimDoor(changes, account_id_from)
        self._client = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=door),
            base_url="http://directory.example.org/v2",
            headers={"Authorization": f"Bearer {secret}"},
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def ask(self, method: str, path: str, body: Any = None, **more: Any) -> httpx2.Response:
        return await self._client.request(method, path, json=body, **more)

    async def add(self, user_name: str, external_id: str | None = None, **more: Any) -> dict[str, Any]:
        """The user that was made."""
        user = {"schemas": [USER, ENTERPRISE], "userName": user_name, "externalId": external_id, **more}
        answer = await self.ask("POST", "/Users", {name: value for name, value in user.items() if value is not None})
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def add_group(self, name: str, *member_ids: str, **more: Any) -> dict[str, Any]:
        members = [{"value": each} for each in member_ids]
        group = {"schemas": [GROUP], "displayName": name, "members": members, **more}
        answer = await self.ask("POST", "/Groups", group)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def get(self, path: str, **query: Any) -> dict[str, Any]:
        answer = await self.ask("GET", path, params=query)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def patch(self, path: str, *operations: dict[str, Any]) -> None:
        answer = await self.ask("PATCH", path, {"schemas": [PATCH], "Operations": operations})
        assert answer.status_code == 204, answer.text

    async def names(self, asked: str, kind: str = "Users") -> list[str]:
        """Of whom the filter finds."""
        found = await self.get(f"/{kind}", filter=asked)
        assert found["totalResults"] == len(found.get("Resources", []))
        return sorted(each["displayName"] for each in found.get("Resources", []))


def refusal(answer: httpx2.Response) -> tuple[int, str | None]:
    """Status and scimType."""
    body = answer.json()
    assert body["status"] == str(answer.status_code)
    return answer.status_code, body.get("scimType")
