"""What each event is called, in both languages: a name for lists, and a sentence where pages tell people of it."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Name:
    """`zh` and `en` are the name; the sentences are empty for events that no page tells of."""

    zh: str
    en: str
    sentence_zh: str = ""
    sentence_en: str = ""


NAMES: Mapping[str, Name] = {
    "yunhui.booking.reservation.confirmed": Name(
        "预定成功",
        "confirmed",
        "申请通过，会议室已保留。",
        "The request was allowed, and a room is held.",
    ),
    "yunhui.booking.reservation.pending_approval": Name(
        "待审批",
        "pending approval",
        "申请已转技术支持，审批前不保留会议室。",
        "The request was sent to support; no room is held until they approve.",
    ),
    "yunhui.booking.reservation.denied": Name(
        "拒绝",
        "denied",
        "申请被规则拒绝。",
        "The request was refused by a rule.",
    ),
    "yunhui.booking.reservation.redirected": Name(
        "改用个人账号",
        "redirected",
        "这场会议应使用个人免费账号。",
        "The meeting belongs on the personal free account.",
    ),
    "yunhui.booking.reservation.updated": Name(
        "已更改",
        "updated",
        "时间、人数或会议室有更改。",
        "The time, the number of people or the room was changed.",
    ),
    "yunhui.booking.reservation.cancelled": Name(
        "已取消",
        "cancelled",
        "预约被取消，会议室重新空出。",
        "It was cancelled; a room that was held is free again.",
    ),
    "yunhui.booking.reservation.approved": Name(
        "已批准",
        "approved",
        "技术支持批准了申请，会议室已保留。",
        "Support approved it, and a room is held.",
    ),
    "yunhui.booking.reservation.declined": Name(
        "已驳回",
        "declined",
        "技术支持驳回了申请，次数已退回。",
        "Support declined it; the quota came back.",
    ),
    "yunhui.booking.reservation.expired": Name(
        "审批超时",
        "approval expired",
        "技术支持未及时答复，次数已退回。",
        "Support did not answer in time; the quota came back.",
    ),
    "yunhui.booking.reservation.entered_early": Name(
        "有人提前入会",
        "entered early",
        "会议开始前有人进入，预约保持不变；到开始时仍在会才算参会。",
        "Somebody entered before the start; the reservation is as it was. Who is still there at the start has come.",
    ),
    "yunhui.booking.reservation.in_use": Name(
        "有人入会",
        "in use",
        "会议开始后有人在会。",
        "Somebody is in the meeting, or was, at or after its start.",
    ),
    "yunhui.booking.reservation.completed": Name(
        "已结束",
        "completed",
        "预约已结束：时间已到、提前归还，或事后证实有人入会。",
        "It is over: the end came, it was given back early, or an entry was proved late.",
    ),
    "yunhui.booking.reservation.released": Name(
        "未参会，已释放",
        "no-show, released",
        "开始后一直无人入会，会议室已释放。",
        "Nobody entered in time, and the room was released.",
    ),
    "yunhui.booking.reservation.meeting_changed": Name(
        "其会议有变",
        "meeting differs",
        "会议本身改期或取消，预约保持不变。",
        "The meeting itself was planned anew or cancelled; the reservation is as it was.",
    ),
    "yunhui.booking.account.violation_recorded": Name(
        "记录违约",
        "violation recorded",
        "记录了一次违约。",
        "A violation was recorded.",
    ),
    "yunhui.booking.account.violation_waived": Name(
        "撤销违约",
        "violation waived",
        "这次违约已撤销，不再计入。",
        "The violation was waived and counts no more.",
    ),
    "yunhui.booking.account.violation_objected": Name(
        "对违约提出申诉",
        "violation objected",
        "对这次违约提出了申诉，等待技术支持答复。",
        "An objection to the violation was raised; support has to answer it.",
    ),
    "yunhui.booking.account.objection_dismissed": Name(
        "申诉驳回",
        "objection rejected",
        "技术支持驳回了申诉，违约维持。",
        "Support dismissed the objection; the violation stays.",
    ),
    "yunhui.booking.account.suspended": Name("限制预定", "suspended"),
    "yunhui.booking.account.reinstated": Name("限制解除", "reinstated"),
    "yunhui.policy.version.published": Name("规则发布", "policy published"),
    "yunhui.policy.version.rolled_back": Name("规则回退", "policy rolled back"),
    "yunhui.meetings.meeting.entered": Name("进入会议", "entered"),
    "yunhui.meetings.meeting.left": Name("离开会议", "left"),
    "yunhui.meetings.meeting.ended": Name("会议结束", "meeting ended"),
    "yunhui.meetings.meeting.changed": Name("会议改期", "meeting changed"),
    "yunhui.meetings.meeting.cancelled": Name("会议取消", "meeting cancelled"),
    "yunhui.notifier.delivery.sent": Name("通知已送达", "notice sent"),
    "yunhui.notifier.delivery.failed": Name("通知未送达", "notice failed"),
}
"""By subject: every event there is."""
