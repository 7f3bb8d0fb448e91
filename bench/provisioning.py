"""What an identity provider waits for: pages of users and of groups, and a group with nearly 10,000 members."""

import json
import time
from collections.abc import Callable, Mapping
from http.client import HTTPConnection

from bench.load import Outcome
from bench.organization import LARGE, department_id

PATHS: Mapping[str, str] = {
    "scim_users": "/Users?count=100&startIndex=50001",
    "scim_groups": "/Groups?count=100&excludedAttributes=members",
    "scim_large_group": f"/Groups/{department_id(LARGE)}",
}


def ask(address: str, secret: str, kind: str, seconds: float) -> Outcome:
    """One after the other for so long. Raises RuntimeError for an answer that is none."""
    outcome, headers = Outcome(), {"Authorization": f"Bearer {secret}"}
    connection = HTTPConnection(address)
    begun = time.perf_counter()
    while (start := time.perf_counter()) < begun + seconds:
        connection.request("GET", f"/v2{PATHS[kind]}", headers=headers)
        response = connection.getresponse()
        body = response.read()
        outcome.latencies.append(time.perf_counter() - start)
        outcome.answers.append(b"")
        if response.status != 200 or not SHOWN[kind](json.loads(body)):
            raise RuntimeError(f"{kind}: {response.status} {body[:300]!r}")
    connection.close()
    outcome.seconds = time.perf_counter() - begun
    return outcome


SHOWN: Mapping[str, Callable[[dict[str, list[object]]], bool]] = {
    "scim_users": lambda body: len(body["Resources"]) == 100,
    "scim_groups": lambda body: len(body["Resources"]) == 100,
    "scim_large_group": lambda body: len(body["members"]) > 9_500,
}
"""That it is what was asked for."""
