"""What a form of a running meeting asks for: one order, however often it is sent."""

from typing import Any

from starlette.datastructures import FormData
from yunhui.meetings.v1 import control_service_pb2 as api
from yunhui.meetings.v1 import listed_meeting_pb2 as pb
from yunhui.meetings.v1.meeting_pb2 import MeetingKey

from services.portal.console.meeting_acts import complete, in_parts, nonce, settings_in, target_of, targets_in, value_of

KEY = MeetingKey(provider="simulated", meeting_id="1")


def asked(person: str = "p", **fields: str) -> str:
    """The id of a request."""
    question = api.MutePersonRequest(target=pb.Target(person_id=person), muted=True)
    complete(question, KEY, FormData(fields))
    assert question.order.meeting == KEY
    return question.order.request_id


def test_a_form_sent_again_is_the_same_request() -> None:
    form = nonce()
    assert asked(nonce=form) == asked(nonce=form)
    assert asked(nonce=form) != asked(nonce=nonce())


def test_another_button_of_the_same_form_is_another_request() -> None:
    form = nonce()
    remove = api.RemovePeopleRequest(targets=[pb.Target(person_id="p")], may_return=True)
    complete(remove, KEY, FormData({"nonce": form}))  # on the wire it is what MutePersonRequest is
    made = {asked(nonce=form), asked("q", nonce=form), asked(nonce=form, reason="noise"), remove.order.request_id}
    assert len(made) == 4


def test_a_request_id_is_always_one_that_the_contract_takes() -> None:
    for given in ("", "short", "a" * 41, "\u4e2d" * 20, "'><script>", nonce()):
        made = asked(nonce=given)
        assert 8 <= len(made) <= 64
        assert made.isascii()
        assert made.replace("-", "").replace("_", "").isalnum()
    assert asked(nonce="") != asked(nonce="")


def test_a_reason_is_kept_short() -> None:
    question = api.EndMeetingRequest()
    complete(question, KEY, FormData({"nonce": nonce(), "reason": "x" * 300}))
    assert len(question.order.reason) == 200


def test_whom_a_button_means_comes_back() -> None:
    for target in (pb.Target(person_id="a~b", terminal="1"), pb.Target(person_id="x"), pb.Target()):
        assert target_of(value_of(target)) == target


def test_people_are_meant_once() -> None:
    form: Any = FormData([("admit", "1~a"), ("admit", "1~b"), ("admit", "1~a"), ("admit", "")])
    assert [each.person_id for each in targets_in(form, "admit")] == ["a", "b"]


def test_many_people_are_several_orders() -> None:
    targets = [pb.Target(person_id=str(number)) for number in range(41)]
    assert [len(some) for some in in_parts(targets)] == [20, 20, 1]
    assert in_parts([]) == []


def test_only_what_was_chosen_changes() -> None:
    """What nobody offered is nothing."""
    form = FormData({"mute_all": "on", "locked": "off", "chat": "CHAT_HOSTS", "may_share": "", "red_envelopes": "yes"})
    settings = settings_in(form)
    assert settings == api.RunningSettings(mute_all=True, locked=False, chat=api.CHAT_HOSTS)
    assert settings_in(FormData({"chat": "on", "locked": "CHAT_HOSTS", "csrf_token": "x"})).ByteSize() == 0
