"""The delivery log, preferences, webhooks and dead events as people reach them: by command."""

import asyncio
from typing import Any

import nats
import pytest

from tests.system.stack import Stack, wait_for, yunhui

pytestmark = pytest.mark.system


def test_support_looks_a_delivery_up_and_sends_it_again(stack: Stack) -> None:
    """A second copy with the same Message-ID, and a second attempt in the log."""
    made = stack.login("booker", "letters").reserve("2025-07-08 11:00")
    about = ("--reservation", made.answer["reservation"]["reservationId"])
    support, admin = stack.login("support", "helper"), stack.login("admin", "boss")
    [sent] = wait_for(lambda: support.yunhui("deliveries", "list", *about, "--only", "sent").answer.get("deliveries"))
    assert (sent["kind"], sent["recipient"], sent["attemptCount"]) == ("confirmation", "l***@example.org", 1)
    assert support.yunhui("deliveries", "resend", sent["deliveryId"]).code == 0

    def tried_twice() -> list[Any] | None:
        attempts = admin.yunhui("deliveries", "show", sent["deliveryId"]).answer["attempts"]
        return attempts if len(attempts) == 2 else None

    assert [each["verdict"] for each in wait_for(tried_twice)] == ["ATTEMPT_VERDICT_ACCEPTED"] * 2
    told = yunhui("deliveries", "show", sent["deliveryId"], "--state", str(stack.state), YUNHUI_TOKEN=admin.token)
    assert "letters@example.org" in told.out
    assert yunhui("deliveries", "list", "--state", str(stack.state), YUNHUI_TOKEN=admin.token).code == 0
    own = stack.login("booker", "letters").yunhui("deliveries", "list").answer["deliveries"]
    assert {each["recipient"] for each in own} == {"l***@example.org"}
    assert stack.login("booker", "stranger").yunhui("deliveries", "list").answer.get("deliveries", []) == []


def test_changes_and_withdrawals_within_seconds_write_to_support_once_a_request(stack: Stack) -> None:
    """The attack: ask, change, withdraw, ask again. Support gets a mail a request that it was asked about, and one that
    it is withdrawn; of those there are three a day, and what comes after that is refused with the reason.
    """
    booker, support, asked = stack.login("booker", "flood"), stack.login("support", "helper"), 0

    def received() -> int:
        """How many mails the server took for support."""
        return sum("dccloud@cnic.cn" in str(mail["to"]) for mail in stack.yunhui("mail", "--json").answer["mails"])

    before = received()
    for number in range(6):
        said = booker.reserve(f"2025-07-1{number % 3 + 1} 1{number}:00", people=120)
        if said.code == 3:
            assert "ESCALATION_LIMIT" in {rule["ruleId"] for rule in said.answer["decision"]["rules"]}
            continue
        asked += 1
        reservation_id = said.answer["reservation"]["reservationId"]
        assert [booker.yunhui("change", reservation_id, "--people", str(130 + each)).code for each in range(4)] == [
            0
        ] * 4
        assert booker.yunhui("cancel", reservation_id).code == 0
    assert asked == 3
    booker.reserve("2025-07-08 11:00")

    def mails() -> list[Any] | None:
        """All, once the last one has left."""
        found = support.yunhui("deliveries", "list", "--account", "flood").answer["deliveries"]
        done = found[0]["kind"] == "confirmation" and {each["state"] for each in found} == {"DELIVERY_STATE_SENT"}
        return found if done else None

    kinds = [each["kind"] for each in wait_for(mails)]
    assert kinds.count("escalation") <= asked
    assert kinds.count("withdrawn") == kinds.count("escalation")
    assert received() - before == kinds.count("escalation") + kinds.count("withdrawn")


def test_who_wants_no_confirmations_gets_none(stack: Stack) -> None:
    """And what is mandatory stays on."""
    booker = stack.login("booker", "quiet")
    assert booker.yunhui("preferences", "set", "release=off").code == 2
    assert booker.yunhui("preferences", "set", "release").code == 2
    assert booker.yunhui("preferences", "set", "confirmation=off").code == 0
    notices = {each["notice"]: each for each in booker.yunhui("preferences", "show").answer["notices"]}
    assert "enabled" not in notices["confirmation"]
    assert notices["release"] == {"notice": "release", "enabled": True, "mandatory": True}
    shown = yunhui("preferences", "show", "--lang", "zh-CN", "--state", str(stack.state), YUNHUI_TOKEN=booker.token)
    assert "必发" in shown.out
    reservation_id = booker.reserve("2025-07-08 12:00").answer["reservation"]["reservationId"]
    booker.yunhui("cancel", reservation_id)
    support = stack.login("support", "helper")
    about = ("deliveries", "list", "--reservation", reservation_id)
    found = wait_for(lambda: support.yunhui(*about).answer.get("deliveries"))
    assert [each["kind"] for each in found] == ["cancellation"]


def test_a_webhook_comes_and_goes(stack: Stack) -> None:
    """Its secret is shown once."""
    admin = stack.login("admin", "boss")
    added = admin.yunhui("webhooks", "add", "http://127.0.0.1:9/hook", "--filter", "yunhui.booking.account.*")
    assert added.answer["secret"].startswith("whsec_")
    webhook_id = added.answer["webhook"]["webhookId"]
    assert [each["webhookId"] for each in admin.yunhui("webhooks").answer["webhooks"]] == [webhook_id]
    assert admin.yunhui("webhooks", "set", webhook_id, "--disabled").answer["webhook"]["reason"]
    told = yunhui("webhooks", "list", "--lang", "en", "--state", str(stack.state), YUNHUI_TOKEN=admin.token)
    assert "switched off by an administrator" in " ".join(told.out.split())
    assert admin.yunhui("webhooks", "remove", webhook_id).code == 0
    assert admin.yunhui("webhooks", "list").answer == {}
    assert admin.yunhui("webhooks", "add", "nonsense").code == 2
    assert stack.login("booker", "somebody").yunhui("webhooks").code == 1


def test_a_dead_event_is_found_and_dropped(stack: Stack) -> None:
    """With the reason for its death, and for its burial."""

    async def publish() -> None:
        connection = await nats.connect(
            stack.run["nats"],
            user="booking",
            password=stack.password("booking"),
            inbox_prefix="_INBOX_booking",
        )
        headers = {"ce-id": "evt_dead", "ce-type": "yunhui.booking.reservation.confirmed"}
        await connection.jetstream().publish(headers["ce-type"], b"{", headers=headers)
        await connection.close()

    asyncio.run(publish())
    admin = stack.login("admin", "boss")
    [found] = wait_for(lambda: admin.yunhui("events", "dead", "list").answer.get("deadEvents"))
    assert found["deadEventId"] == "evt_dead"
    assert found["reason"].startswith("unreadable: ")
    assert admin.yunhui("events", "dead", "show", "evt_dead").answer["headers"]["ce-id"] == "evt_dead"
    assert admin.yunhui("events", "dead", "retry", "evt_dead").code == 1
    for arguments in (("list",), ("show", "evt_dead")):
        told = yunhui("events", "dead", *arguments, "--state", str(stack.state), YUNHUI_TOKEN=admin.token)
        assert "evt_dead" in told.out
    assert admin.yunhui("events", "dead", "drop", "evt_dead", "--note", "a test").code == 0
    assert admin.yunhui("events", "dead", "list").answer == {}
    [dropped] = admin.yunhui("events", "dead", "list", "--only", "dropped").answer["deadEvents"]
    assert (dropped["actor"], dropped["note"]) == ("boss", "a test")
