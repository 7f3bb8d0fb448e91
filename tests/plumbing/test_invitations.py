"""The number is found in what people paste: invitations as the meeting client writes them, in both languages."""

import grpc
import pytest

from services.contracts import invitations
from services.contracts.invitations import numbers
from services.platform.serving import errors

CHINESE = """李伟 邀请您参加腾讯会议
会议主题：第 202500123 号课题组周会
会议时间：2025/07/08 10:00-11:00 (GMT+08:00) 中国标准时间 - 北京

点击链接入会，或添加至会议列表：
https://meeting.tencent.com/dm/AbCd12345678

#腾讯会议：123-456-789
会议密码：246810

手机一键拨号入会
+8675536550000,,123456789# (中国大陆)
+85230018898,,,2,123456789# (中国香港)

根据您的位置拨号
+8675536550000 (中国大陆)
+85230018898 (中国香港)

复制该信息，打开手机腾讯会议即可参与"""
ENGLISH = """Li Wei invites you to a Tencent Meeting
Topic: Group meeting
Time: 2025/07/08 10:00-11:00 (GMT+08:00) China Standard Time - Beijing

Click the link to join or add the meeting to your meeting list:
https://meeting.tencent.com/dw/AbCd12345678

#Tencent Meeting: 123-456-789
Meeting Password: 246810

One-tap mobile:
+8675536550000,,123456789# (Mainland China)
+85230018898,,,2,123456789# (Hong Kong, China)

Dial by your location
+86 755 3655 0000 (Mainland China)

Copy this message and open Tencent Meeting on your phone to join"""
RECURRING = """王芳 邀请您参加腾讯会议
会议主题：例会
会议时间：2025/07/07-2025/08/04 09:30-10:30 (GMT+08:00) 中国标准时间 - 北京, 每周 (周一)

点击链接入会：
https://meeting.tencent.com/dm/Xy9876543210

#腾讯会议：123-456-789"""
OLD = """会议 ID：123 456 789
会议时间：2025年7月8日 14:00
点击链接直接加入会议：https://meeting.tencent.com/s/5bQk1a2B3c4D
手机一键拨号入会 +8675536550000,,123456789#"""
VOOV = """Anna Meyer is inviting you to a VooV Meeting
Meeting Topic: EU-China data exchange
Meeting Time: 2025/07/08 10:00-12:00 (GMT+02:00)
https://voovmeeting.com/dm/AbC123def456
#VooV Meeting: 123-456-789
Host Key: 135790"""
PERSONAL = """李伟邀请您加入个人会议室
点击链接入会：https://meeting.tencent.com/p/1234567890
#腾讯会议：123-456-7890"""
INVITATIONS = {"chinese": CHINESE, "english": ENGLISH, "recurring": RECURRING, "old": OLD, "voov": VOOV}


@pytest.mark.parametrize("broken", ["\n", "\r\n", " ", ""], ids=["as it is", "crlf", "blanks", "nothing"])
@pytest.mark.parametrize("invitation", INVITATIONS.values(), ids=INVITATIONS)
def test_a_whole_invitation_means_its_number(invitation: str, broken: str) -> None:
    """However its lines came through: a field of one line leaves nothing between them."""
    assert numbers(invitation.replace("\n", broken)) == ["123456789"]


def test_a_personal_room_has_ten_digits() -> None:
    assert numbers(PERSONAL) == ["1234567890"]


@pytest.mark.parametrize(
    "pasted",
    [
        "123456789",
        "123-456-789",
        "123 456 789",
        "  123-456-789  ",
        "１２３－４５６－７８９",
        "123–456–789",
        "123\u2011456\u2011789",
        "123—456—789",
        "123\u3000456\u3000789",
        "\u202a123\u200b-456-789\u202c",
        "“123-456-789”",
        "#腾讯会议：123-456-789",
        "＃腾讯会议：１２３－４５６－７８９",
        "腾讯会议：123 456 789",
        "会议号 123-456-789。",
        "会议号：123-456-789 密码：123456",
        "会议号（Meeting ID）：123-456-789",
        "会议ID:123456789",
        "meeting id 123 456 789",
        "Meeting number: #123-456-789",
        "https://meeting.tencent.com/p/123456789",
        "https://meeting.tencent.com/p/123456789?pwd=4321",
        "meeting.tencent.com/p/123456789",
        "wemeet://page/inmeeting?meeting_code=123456789&from=web",
        "+8675536550000,,123456789#",
        "+85230018898,,,2,123456789#",
        "2025-07-08 10:00 123-456-789",
        "明天 14:00 开会 123-456-789，密码 987654",
        "电话 010-62345678，会议 123-456-789",
        "请打 13800138000；123-456-789",
        "会议号：123-456-789，上次是 987-654-321",
        "https://meeting.tencent.com/dm/123456789012 会议号：123-456-789",
        "#腾讯会议：123-456-789\n#腾讯会议：123-456-789",
    ],
)
def test_a_piece_of_it_will_do(pasted: str) -> None:
    """What is labelled as the number is preferred to what only looks like one."""
    assert numbers(pasted) == ["123456789"]


@pytest.mark.parametrize(
    "pasted",
    [
        "123-456-789 987-654-321",
        "123 456 789 987 654 321",
        "123-456-789 or 987-654-321",
        "#腾讯会议：123-456-789\n#腾讯会议：987-654-321",
        "https://meeting.tencent.com/p/123456789 https://meeting.tencent.com/p/987654321",
    ],
)
def test_of_two_that_are_as_likely_none_is_taken(pasted: str) -> None:
    """Both are named, in both languages."""
    assert numbers(pasted) == ["123456789", "987654321"]
    with pytest.raises(errors.RpcError) as refused:
        invitations.meeting_code(pasted)
    status = refused.value.to_status()
    for sentence in (str(refused.value), errors.chinese_of(status)):
        assert "123-456-789" in sentence
        assert "987-654-321" in sentence


@pytest.mark.parametrize(
    "pasted",
    [
        *("", "no number", "12345678", "12345678901", "1" * 100_000, "१२३४५६७८९", "13800138000"),
        "https://meeting.tencent.com/dm/AbCd12345678",
        "会议时间：2025/07/08 10:00-11:00 密码：246810",
        "+8675536550000 (中国大陆)",
    ],
)
def test_what_holds_no_number_is_refused(pasted: str) -> None:
    with pytest.raises(errors.RpcError) as refused:
        invitations.meeting_code(pasted)
    assert refused.value.code == grpc.StatusCode.INVALID_ARGUMENT
    assert str(refused.value).startswith("meeting_code: ")
