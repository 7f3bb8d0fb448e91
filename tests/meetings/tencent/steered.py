"""What the tests of acts share."""

import json

from services.meetings.people import Target
from services.standin.cloud import CloudVisit, CloudWaiting
from services.standin.server import Standin


def target(person: CloudVisit | CloudWaiting) -> Target:
    return Target(person.ms_open_id, str(person.instanceid))


def acts(standin: Standin) -> list[tuple[str, str, int]]:
    """What was sent that changes something: which verb, on whose behalf."""
    sent = [(each, json.loads(each.body)) for each in standin.requests if each.method != "GET"]
    return [
        (each.target.rpartition("/")[2], body.get("operator_id", body.get("userid")), body.get("operator_id_type", 1))
        for each, body in sent
    ]
