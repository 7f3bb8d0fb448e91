"""Every sentence that the command says, in both languages. Log lines and JSON are not sentences."""

import string
from dataclasses import dataclass

from services.cli import myself
from services.cli.languages import CHINESE

BOTH = "\0"
"""Between the languages of a sentence for --help, which typer takes before anybody knows who reads it."""


@dataclass(frozen=True, slots=True)
class Text:
    """One sentence; `{name}` marks a value, `{yunhui:login booker}` a command as it is typed here."""

    zh: str
    en: str

    def to(self, language: str, **values: object) -> str:
        return (self.zh if language == CHINESE else self.en).format(yunhui=myself.Typed(), **values)

    def hint(self, **values: object) -> str:
        """The first command that the sentence names, to be typed as it stands; "" when it names none."""
        for _, name, words, _ in string.Formatter().parse(self.en):
            if name == "yunhui" and words:
                return myself.typed(words.format(**values))
        return ""

    @property
    def help(self) -> str:
        """Both languages; usage.py shows the one that is read."""
        return f"{self.zh}{BOTH}{self.en}"


def name_of(text: Text) -> str:
    """What programs know a sentence by: UPPER_SNAKE_CASE."""
    return next(name for name, value in globals().items() if value is text)


def from_help(help: str) -> Text:  # noqa: A002 - as typer calls it
    zh, _, en = help.partition(BOTH)
    return Text(zh, en)


# Help
HELP = Text("云会：公平地分配云会议室。", "Yunhui hands out cloud meeting rooms fairly.")
HELP_UP = Text("在本机启动全部服务（开发环境）", "start everything on this machine (development)")
HELP_DEMO = Text("用真实进程演示教程中的规则", "play the tutorial's rules on real processes")
HELP_LOGIN = Text("以示例账号登录（开发环境）", "sign in as a sample account (development)")
HELP_LOGOUT = Text("退出登录", "sign out")
HELP_WHOAMI = Text("当前登录的账号", "who is signed in")
HELP_RESERVE = Text("预定会议室", "reserve a room")
HELP_CHECK = Text("只询问能否预定，不保存", "ask what a reservation would come to; nothing is stored")
HELP_SHOW = Text("查看一条预约", "show one reservation")
HELP_CANCEL = Text("取消预定", "cancel a reservation")
HELP_CHANGE = Text("改期、延长或缩短、改人数", "change the time or the number of people")
HELP_END = Text("提前结束，归还剩余时间", "end early and give the rest back")
HELP_WAIVE = Text("撤销一次违约（技术支持）", "waive a violation (support)")
HELP_OBJECT = Text("对一次违约提出申诉", "object to a violation of yours")
HELP_OBJECTIONS = Text("待答复的申诉（技术支持）", "list open objections (support)")
HELP_DISMISS = Text("驳回一次申诉（技术支持）", "dismiss an objection (support)")
HELP_MINE = Text("我的预约", "list my reservations")
HELP_ENTERED = Text(
    "上报有人在会（service 角色）；开始之前的只作记录",
    "report that somebody is inside (role service); before the start it is only noted",
)
HELP_QUOTA = Text("次数、违约与限制", "quota, violations and suspension")
HELP_ROOMS = Text("会议室资源池；管理员可以添加和修改", "the pool of rooms; administrators add and change them")
HELP_ROOMS_ADD = Text("添加会议室（admin 角色）", "add a room (role admin)")
HELP_ROOMS_SET = Text("修改会议室（admin 角色）", "change a room (role admin)")
HELP_FREE = Text("会议室的空闲时间", "when rooms are free")
HELP_WATCH = Text("实时显示预约的变化", "follow changes of reservations as they happen")
HELP_CLOCK = Text("开发时钟：查看或向前拨", "the development clock: look, or move it forward")
HELP_CLOCK_ADVANCE = Text("向前拨一段时间，如 45m", "move forward by, for example, 45m")
HELP_CLOCK_SET = Text("向前拨到某一时刻", "move forward to a moment")
HELP_EVENTS = Text("事件：持续显示，或处理无法处理的", "events: follow them, settle those that could not be read")
HELP_EVENTS_TAIL = Text("显示已发生的和正在发生的事件", "show events: those that were, and those that come")
HELP_MAIL = Text("开发环境收到的邮件", "mail that the development sink received")
HELP_MAIL_SHOW = Text("显示一封邮件", "show one mail")
HELP_BUS = Text("消息总线：声明流与消费者", "the bus: declare its streams and consumers")
HELP_BUS_SETUP = Text("声明流与消费者（管理步骤，可重复）", "declare streams and consumers (admin step, repeatable)")
HELP_OUTBOX = Text("发件箱：事件的发布（admin 角色）", "the outbox: publication of events (role admin)")
HELP_OUTBOX_STATUS = Text("已发布到哪里", "how far publication has come")
HELP_OUTBOX_REPLAY = Text("流丢失后从发件箱重建", "rebuild a lost stream from the outbox")
HELP_DOCTOR = Text("检查各项是否正常", "check that all is well")

# Usage
USAGE = Text("用法：{command}", "usage: {command}")
ARGUMENTS = Text("参数", "arguments")
OPTIONS = Text("选项", "options")
COMMANDS = Text("命令", "commands")
PANEL_BOOKING = Text("预约人", "for whoever books")
PANEL_SUPPORT = Text("技术支持", "for support")
PANEL_ADMINISTRATION = Text("管理员", "for administrators")
PANEL_INSTALLATION = Text("运行与维护", "for whoever runs the installation")
PANEL_TRYING = Text("试用（开发环境）", "to try it out (development)")
WORD_OPTIONS = Text("[选项]", "[OPTIONS]")
WORD_COMMAND = Text("命令 [参数]...", "COMMAND [ARGUMENTS]...")
OPTION_HELP = Text("显示这份说明", "show this")
FROM_VARIABLE = Text("环境变量：{name}", "variable: {name}")
BY_DEFAULT = Text("默认：{value}", "default: {value}")
MUST_BE_GIVEN = Text("必填", "required")
WORD_DIRECTORY = Text("目录", "DIR")
WORD_DURATION = Text("时长", "DURATION")
WORD_FILE = Text("文件", "FILE")
WORD_HASH = Text("哈希", "HASH")
WORD_KIND = Text("类别", "KIND")
WORD_LANGUAGE = Text("语言", "LANG")
WORD_MOMENT = Text("时刻", "MOMENT")
WORD_NUMBER = Text("数字", "NUMBER")
WORD_RULES = Text("规则", "RULES")
WORD_TEXT = Text("文字", "TEXT")
TRY_HELP = Text("用法见：{command}", "How to use it: {command}")
DID_YOU_MEAN = Text("是不是想用 {choices}？", "Did you mean {choices}?")
NO_SUCH_OPTION = Text("没有选项 {option}。", "There is no option {option}.")
NO_SUCH_COMMAND = Text("没有命令“{command}”。", "There is no command '{command}'.")
COMMAND_NEEDED = Text("请写明要执行的命令。", "Say which command to run.")
TOO_MANY_WORDS = Text("多出了“{words}”。", "'{words}' is more than this command takes.")
MISSING_VALUE = Text("缺少 {name}。", "{name} is missing.")
VALUE_NEEDED = Text("选项 {option} 后面要有一个值。", "The option {option} needs a value.")
NO_VALUE_WANTED = Text("选项 {option} 后面不能有值。", "The option {option} takes no value.")
BAD_VALUE = Text("{name} 的值不可用：{fault}", "The value of {name} cannot be used: {fault}")
NOT_A_WHOLE_NUMBER = Text("{name}：须为整数，现为“{typed}”。", "{name} must be a whole number, not '{typed}'.")
NOT_A_DECIMAL = Text("{name}：须为数字，现为“{typed}”。", "{name} must be a number, not '{typed}'.")
AT_LEAST = Text("{name}：至少为 {limit}，现为 {typed}。", "{name} must be at least {limit}, not {typed}.")
AT_MOST = Text("{name}：最多为 {limit}，现为 {typed}。", "{name} must be at most {limit}, not {typed}.")
UNEXPECTED = Text("命令本身出错了：{detail}", "A fault of the command itself: {detail}")
INTERRUPTED = Text("已中断。", "interrupted")

OPTION_STATE = Text("状态目录，默认 .yunhui", "state directory; .yunhui by default")
OPTION_LANG = Text(
    "语言：zh-CN 或 en；默认依次看 YUNHUI_LANG、登录时所选、系统区域设置（英语区域为 en），否则为 zh-CN",
    "language: zh-CN or en; if not given, YUNHUI_LANG, else what you chose when you signed in, else the locale "
    "(en for an English one), else zh-CN",
)
OPTION_JSON = Text("输出 JSON，供程序使用", "print JSON, for programs")
OPTION_PORTS = Text("auto：使用空闲端口", "auto: use free ports")
OPTION_CLOCK = Text("让时钟从此刻开始", "let the clock start at this moment")
OPTION_KEEP = Text("把状态保留在此目录", "keep the state in this directory")
OPTION_STAY = Text("演示之后不退出，可用浏览器查看", "go on running after the story, to be looked at in a browser")
OPTION_ACCOUNT = Text("示例账号名", "name of the sample account")
OPTION_CODE = Text("会议号，9 或 10 位数字", "the meeting's number, 9 or 10 digits")
OPTION_SUBJECT = Text("会议主题", "what the meeting is about")
OPTION_START = Text(
    "开始时间（北京时间），如 '2025-07-07 10:00' 或 '明天 10:00'",
    "start (Beijing time), e.g. '2025-07-07 10:00' or 'tomorrow 10:00'",
)
OPTION_MINUTES = Text("预留时长，分钟", "reserved duration in minutes")
OPTION_PEOPLE = Text("参会人数", "people expected")
OPTION_ROOM = Text("指定会议室", "this room and no other")
OPTION_FOR = Text("代此账号预定（support、admin）", "reserve for this account (support, admin)")
OPTION_DRY_RUN = Text("只询问，不保存", "only ask; nothing is stored")
OPTION_REQUEST_ID = Text("幂等键：重复发送得到同一答复", "idempotency key: sent again, it gets the same answer")
OPTION_REPEAT = Text(
    "重复规则（RFC 5545），如 'FREQ=WEEKLY;COUNT=4'", "repeat by a rule of RFC 5545, e.g. 'FREQ=WEEKLY;COUNT=4'"
)
OPTION_ALL_OR_NONE = Text("重复预定：要么全部，要么都不要", "with --repeat: all of them or none")
OPTION_NEW_START = Text("新的开始时间；时长不变", "the new start; as long as before")
OPTION_NEW_MINUTES = Text("新的预留时长，分钟", "the new duration in minutes")
OPTION_NEW_PEOPLE = Text("新的参会人数", "the new number of people")
OPTION_NOTE = Text("原因", "why")
OPTION_ALL = Text("全部账号（support、admin）", "all accounts (support, admin)")
OPTION_STATES = Text("只看此状态，可重复", "only in this state; repeatable")
OPTION_AT = Text("入会时间；默认现在", "when; now by default")
OPTION_CAPACITY = Text("最多容纳人数", "most people that fit")
OPTION_NAME = Text("显示名称", "name for people")
OPTION_ENABLED = Text("是否可以预定；停用后已有预约保留", "whether it may be reserved; what is reserved stays")
OPTION_FREE_FROM = Text("从何时起；默认现在", "from when on; now by default")
OPTION_FREE_UNTIL = Text("到何时止，最长 31 天；默认一天", "until when, at most 31 days; a day by default")
OPTION_WHOSE = Text("此账号的（support、admin）", "of this account (support, admin)")
OPTION_FILTER = Text(
    "只看这些事件，如 'reservation.*' 或 yunhui.booking.>", "only these, e.g. 'reservation.*' or yunhui.booking.>"
)
OPTION_EVENTS_SINCE = Text(
    "从何时起：10m（之前）或某一时刻；默认只看新的", "from when on: 10m (ago), or a moment; only new ones if not given"
)
OPTION_EVENTS_ACCOUNT = Text("只看此账号的", "only about this account")
OPTION_EVENTS_RESERVATION = Text("只看此预约的", "only about this reservation")
OPTION_FOLLOW = Text("继续等待新事件，还是看完即止", "wait for new ones, or end with what is there")

# What goes wrong
BAD_TIME = Text(
    "看不懂时间 “{typed}”，请写成 “{example}”。", "cannot read the time '{typed}'; write it like '{example}'."
)
BAD_DURATION = Text("看不懂时长 “{typed}”，请写成 45m、2h 或 1d。", "cannot read '{typed}'; write 45m, 2h or 1d.")
BAD_CHOICE = Text("“{typed}” 不可用，可选：{choices}。", "'{typed}' is not known; choose one of: {choices}.")
BAD_FILTER = Text(
    "没有事件符合 “{typed}”。可用的例子：{choices}。",
    "no event can match '{typed}'. Examples of what can: {choices}.",
)
BAD_ACCOUNT = Text(
    "账号名只能由 1 至 64 个字母、数字、“-”、“_”、“.” 组成。",
    "an account's name has 1 to 64 letters, digits, '-', '_' or '.'.",
)
NOT_SIGNED_IN = Text(
    "尚未登录。请先运行：{yunhui:login booker}", "Nobody is signed in. First run: {yunhui:login booker}"
)
NO_STATE = Text(
    "目录 {state} 中没有开发环境。请先运行：{yunhui:up}",
    "There is no development installation in {state}. First run: {yunhui:up}",
)
NOT_RUNNING = Text("云会没有在运行。请先运行：{yunhui:up}", "Yunhui is not running. First run: {yunhui:up}")
BUS_AWAY = Text("无法连接消息总线 {address}。", "The bus at {address} cannot be reached.")
AWAY = Text(
    "服务 {address} 暂时不可用，没有任何改变，请稍后再试。{detail}",
    "{address} is away; nothing was changed, try again soon. {detail}",
)
NOT_FOUND = Text("没有找到：{detail}。", "Not found: {detail}.")
INVALID_FIELD = Text("{name}：{detail}。", "{name}: {detail}.")
UNAUTHENTICATED = Text(
    "登录无效或已过期（{detail}）。请重新登录：{yunhui:login booker}",
    "Not signed in, or no longer ({detail}). Sign in again: {yunhui:login booker}",
)
HALF_A_CERTIFICATE = Text(
    "YUNHUI_TLS_CERTIFICATE 和 YUNHUI_TLS_KEY 必须同时设置。",
    "YUNHUI_TLS_CERTIFICATE and YUNHUI_TLS_KEY belong together: set both or neither.",
)
NO_CERTIFICATE = Text("无法读取证书文件 {file}。", "The certificate file {file} cannot be read.")
RATE_LIMITED = Text(
    "操作过于频繁，请等 {seconds} 秒再试。", "Too many calls in a short time: wait {seconds} s and try again."
)
FORBIDDEN = Text("没有权限：{detail}。", "Not allowed: {detail}.")
OTHER_ERROR = Text("未能完成：{detail}。", "That did not work: {detail}.")
NO_SUCH_MAIL = Text("没有第 {number} 封邮件。", "There is no mail number {number}.")
CLOCK_BACKWARDS = Text(
    "时钟不能倒拨：现在是 {now}，而要求 {wanted}；已有数据会出现在未来。请换一个状态目录，或指定更晚的时刻。",
    "Time cannot go back: it is {now}, asked for was {wanted}, and stored data would lie in the future. "
    "Use another state directory, or a later moment.",
)

# up
ALREADY_RUNNING = Text("{state} 已有一个 {yunhui} up 在运行。", "Another {yunhui} up is running on {state}.")
PORT_TAKEN = Text(
    "端口 {port}（{program}）已被占用。请关闭占用它的程序，或加上 --ports auto。",
    "Port {port} ({program}) is taken. Stop the program that holds it, or add --ports auto.",
)
STARTING = Text("正在启动…", "starting ...")
STARTED = Text("已启动", "started")
START_FAILED = Text(
    "{program} 没有启动成功（{reason}）。日志末尾：", "{program} did not start ({reason}). Its log ends with:"
)
DIED = Text(
    "{program} 意外退出（{code}），{pause} 秒后重启", "{program} ended ({code}); starting it again in {pause} s"
)
RECOVERED = Text("{program} 已恢复", "{program} is back")
GAVE_UP = Text(
    "{program} 反复退出，全部停止。日志末尾：", "{program} ends again and again; stopping all. Its log ends with:"
)
STOPPING = Text("正在停止…（再按一次 Ctrl-C 立即结束）", "stopping ... (Ctrl-C again ends at once)")
STOPPED = Text("已全部停止。数据保留在 {state}。", "All stopped. The data stays in {state}.")
STOPPED_AFTER_FAULT = Text("因 {program} 出错，已全部停止。", "Everything was stopped because of {program}.")
MAILBOX = Text("邮件", "mail")
PORTAL = Text("网页", "pages")
SAMPLE_SIGN_INS = Text(
    "可选身份登录：booker、booker-2、support、admin，无需密码",
    "sign in there as booker, booker-2, support or admin; no password",
)
LOGS = Text("日志", "logs")
SAMPLE_SUBJECT = Text("组会", "seminar")
CLOCK_SHOWS = Text("时钟", "clock")
TRY_NEXT = Text("接下来可以在另一个终端里试试", "try next, in another terminal")

# Names of fields and reasons
FIELD_AFTER = Text("起始时间", "from")
FIELD_BEFORE = Text("截止时间", "until")
FIELD_DECISION = Text("决定编号", "decision")
FIELD_DURATION = Text("时长", "duration")
FIELD_END = Text("结束时间", "end")
FIELD_ENTERED = Text("入会时间", "time of entry")
FIELD_NOTE = Text("说明", "note")
FIELD_OBJECTION = Text("申诉理由", "objection")
FIELD_PAGE = Text("下一页标记", "page")
FIELD_PAGE_SIZE = Text("每页条数", "entries per page")
FIELD_REQUEST = Text("幂等键", "idempotency key")
FIELD_RULE = Text("重复规则", "rule of repetition")
FIELD_SOURCE = Text("规则", "rules")
FIELD_START = Text("开始时间", "start")
FIELD_TESTS = Text("测试表", "test table")
FIELD_ZONE = Text("时区", "time zone")
BECAUSE_GATEWAY_AWAY = Text("会议网关不可用", "the meetings gateway was away")
BECAUSE_INCOMPLETE = Text("会议提供方的答复不完整", "the provider's answer was incomplete")
BECAUSE_NO_MEETING = Text("会议提供方查不到这场会议", "the provider knows no such meeting")
BECAUSE_NOT_PERMITTED = Text("会议提供方不允许查询", "the provider does not let us ask")
BECAUSE_PROVIDER_AWAY = Text("会议提供方不可用", "the provider was away")
BECAUSE_RATE_LIMITED = Text("查询过于频繁", "too many questions at a time")
BECAUSE_REFUSED = Text("会议提供方拒绝答复", "the provider refused to answer")
NOTICE_CANCELLATION = Text("他人取消了预约", "somebody else cancelled")
NOTICE_CHANGE = Text("预约有更改", "a reservation was changed")
NOTICE_CONFIRMATION = Text("预约成功", "a reservation is confirmed")
NOTICE_DECLINED = Text("技术支持驳回", "support declined")
NOTICE_DIGEST = Text("致技术支持：每日汇总", "to support: the daily digest")
NOTICE_DISMISSED = Text("申诉被驳回", "an objection was dismissed")
NOTICE_ESCALATION = Text("致技术支持：待审批", "to support: a case")
NOTICE_EXPIRED = Text("审批超时", "support did not answer in time")
NOTICE_OBJECTION = Text("致技术支持：申诉", "to support: an objection")
NOTICE_OWN_CANCELLATION = Text("自己取消了预约", "a reservation was cancelled by its account")
NOTICE_PENDING = Text("已转技术支持", "support was asked")
NOTICE_RELEASE = Text("会议室已释放", "a room was released")
NOTICE_REMINDER = Text("会议即将开始", "a meeting begins soon")
NOTICE_SUSPENSION = Text("限制预定或恢复预定", "booking was closed or opened")
NOTICE_VIOLATION = Text("记录了违约", "a violation was recorded")
NOTICE_WAIVED = Text("违约已撤销", "a violation was waived")
NOTICE_WITHDRAWN = Text("致技术支持：已了结", "to support: a case is settled")

# Answers
CONFIRMED = Text("预定成功", "confirmed")
PENDING = Text("已转技术支持，等待人工审批", "sent to support: a person will decide")
REDIRECTED = Text("请使用个人免费版账号创建会议", "please use your personal free account")
DENIED = Text("未能预定", "refused")
WOULD_BE = Text("如果现在预定：{outcome}", "if reserved now: {outcome}")
ALLOWED_EFFECT = Text("允许", "allow")
ESCALATE_EFFECT = Text("转人工", "escalate")
REDIRECT_EFFECT = Text("改用个人账号", "redirect")
DENY_EFFECT = Text("拒绝", "deny")
REMEDY = Text("怎么办：{remedy}", "what helps: {remedy}")
ALTERNATIVES = Text("这些时间可以预定：", "These times are free for you:")
NO_RULE = Text("没有规则反对。", "No rule objects.")
RULE = Text("规则", "rule")
EFFECT = Text("结果", "effect")
REASON = Text("原因", "reason")
RESERVATION = Text("预约", "reservation")
TIME = Text("时间", "time")
TIME_IN_ZONE = Text("时间（{zone}）", "time ({zone})")
ROOM = Text("会议室", "room")
PEOPLE = Text("人数", "people")
SUBJECT = Text("主题", "subject")
MEETING = Text("会议号", "meeting")
STATE = Text("状态", "state")
ACCOUNT = Text("账号", "account")
NOTE = Text("备注", "note")
RELEASE_AT = Text("无人入会则释放", "released unless entered by")
ENTERED_AT = Text("参会", "there from")
EARLY_ENTERED_AT = Text("提前入会", "looked in early")
NO_ROOM_YET = Text("未分配", "none yet")
NO_RESERVATIONS = Text("没有预约。", "No reservations.")
CANCELLED_RETURNED = Text("已取消 {id}，次数已退回。", "{id} is cancelled; the quota came back.")
CANCELLED_KEPT = Text("已取消 {id}，次数不退回。", "{id} is cancelled; the quota does not come back.")
CHANGED = Text("已更改", "changed")
NOT_CHANGED = Text("没有更改，原预约保持不变", "not changed: the reservation stays as it was")
ENDED = Text("已结束 {id}，剩余时间已归还。", "{id} has ended; the rest of the time is given back.")
WAIVED_NOW = Text("已撤销违约 {id}。", "Violation {id} is waived.")
OPTION_BECAUSE = Text("申诉理由，最多 1000 字", "why the violation is wrong, at most 1,000 characters")
OPTION_ANSWERED = Text("也列出已答复的申诉", "answered ones, too")
OBJECTED = Text("已对违约 {id} 提出申诉，答复会以邮件告知。", "Objected to violation {id}; the answer comes by mail.")
DISMISSED = Text("已驳回对违约 {id} 的申诉。", "The objection to violation {id} is dismissed.")
NO_OBJECTIONS = Text("没有待答复的申诉。", "No open objections.")
OBJECTION = Text("申诉", "objection")
OBJECTION_OPEN = Text("待答复", "open")
OBJECTION_UPHELD = Text("已采纳", "upheld")
OBJECTION_DISMISSED = Text("已驳回", "dismissed")
LIFTED = Text("因此而生的限制已解除，可以预定。", "The suspension that it led to is lifted: booking is open.")
SERIES_SUMMARY = Text("{made} 次已预定，共 {total} 次。", "{made} of {total} were made.")
NO_DRY_SERIES = Text(
    "--dry-run 只询问一次预定，不能与 --repeat 同用。", "--dry-run asks for one reservation: leave --repeat out."
)
NOTHING_TO_CHANGE = Text(
    "请说明要改什么：--start、--minutes 或 --people。", "Say what to change: --start, --minutes or --people."
)
ENTERED = Text("已记录入会：{id}", "entry recorded: {id}")
ENTERED_EARLY = Text(
    "会议尚未开始，仅作记录，预约仍可取消或修改：{id}。开始时若有人仍在会，请再次上报。",
    "noted only, for it is before the start, and {id} can still be cancelled or changed: "
    "report again who is inside at the start.",
)
CAPACITY = Text("容量", "seats")
NAME = Text("名称", "name")
ENABLED = Text("可用", "available")
YES = Text("是", "yes")
NO = Text("否", "no")
APPROVED = Text("已批准 {id}，会议室 {room}。", "{id} is approved, room {room}.")
DECLINED = Text("已驳回 {id}。", "{id} is declined.")
NO_ROOMS = Text("还没有会议室。", "There are no rooms yet.")
NOTHING_FREE = Text("没有空闲的会议室。", "No room is free.")
ROOM_ADDED = Text("已添加会议室 {id}（{capacity} 方）。", "Room {id} added, {capacity} seats.")

STATE_PENDING = Text("待审批", "pending approval")
STATE_CONFIRMED = Text("已预定", "confirmed")
STATE_IN_USE = Text("使用中", "in use")
STATE_COMPLETED = Text("已结束", "completed")
STATE_NO_SHOW = Text("未参会，已释放", "no-show, released")
STATE_CANCELLED = Text("已取消", "cancelled")
STATE_DECLINED = Text("已驳回", "declined")
STATE_EXPIRED = Text("审批超时", "expired")

# Account
SIGNED_IN = Text("已登录：{account}（{role}），12 小时内有效。", "Signed in as {account} ({role}), for 12 hours.")
SIGNED_OUT = Text("已退出登录。", "Signed out.")
TOKEN_FROM_ENVIRONMENT = Text("（来自 YUNHUI_TOKEN）", "(from YUNHUI_TOKEN)")
WHO = Text("{account}（{roles}）{origin}", "{account} ({roles}) {origin}")
NO_TOKEN = Text("YUNHUI_TOKEN 不是有效的令牌。", "YUNHUI_TOKEN is no token.")
QUOTA_BY_DAY = Text("有预约的日子：", "Days with reservations:")
LEFT = Text("还可预定 {count} 次", "{count} left")
OPEN_AGAIN = Text("新的周期自 {time} 起。", "A fresh period begins {time}.")
NO_VIOLATIONS = Text("近 35 天没有违约。", "No violations in the last 35 days.")
VIOLATION = Text("违约", "violation")
WAIVED = Text("已撤销", "waived")
VALID = Text("计入违约", "counts")
USED_UP = Text("已计入限制", "led to a suspension")
CLOSED_UNTIL = Text("预定受限至", "booking closed until")
SUSPENDED = Text("预定受限，至 {time}。", "Booking is closed until {time}.")
NOT_SUSPENDED = Text("可以预定。", "Booking is open.")
VIOLATIONS_COUNTED = Text("计入违约 {count}/{limit}", "violations that count: {count}/{limit}")

# Policy
HELP_APPROVE = Text("批准转人工的预约（技术支持）", "approve an escalation (support)")
HELP_DECLINE = Text("驳回转人工的预约（技术支持）", "decline an escalation (support)")
OPTION_TO_BOOKER = Text("给预约人的回复", "what the booker is told")
HELP_POLICY = Text(
    "规则：查看、测试、发布、回退、解释、试算", "the rules: show, test, publish, roll back, explain, simulate"
)
HELP_POLICY_LIST = Text("列出已发布的版本", "list the published versions")
HELP_POLICY_SHOW = Text("显示一个版本的规则原文", "show the source of a version")
HELP_POLICY_TEST = Text("运行规则的测试表", "run the test table of a policy")
HELP_POLICY_PUBLISH = Text("发布新版本（管理员）", "publish a new version (admin)")
HELP_POLICY_ROLLBACK = Text("回到以前的版本（管理员）", "go back to an earlier version (admin)")
HELP_POLICY_EXPLAIN = Text("解释一个决定，并按当时的事实重算", "explain a decision, and decide it again from its facts")
HELP_POLICY_SIMULATE = Text("用历史请求试算草稿（管理员）", "try a draft on what was really asked (admin)")
OPTION_TESTS = Text("测试表文件，默认在规则文件旁边", "the test table; beside the rules if not given")
OPTION_WHY = Text("为什么", "why")
OPTION_EFFECTIVE = Text("何时生效，默认立即", "from when it decides; at once if not given")
OPTION_BASE = Text("草稿所依据的版本", "the version that the draft was made from")
OPTION_SINCE = Text("多久以来的请求，如 30d", "requests of the last e.g. 30d")
OPTION_RULES_PART = Text("规则原文还是测试表：rules 或 tests", "which part: rules or tests")
NO_FILE = Text("读不到文件 {path}。", "The file {path} cannot be read.")
ACTION_CREATE = Text("预定", "reserve")
ACTION_UPDATE = Text("更改", "change")
ACTION_CANCEL = Text("取消", "cancel")
ACTION_NO_SHOW = Text("是否未参会", "no-show or not")
VERSION = Text("版本", "version")
AUTHOR = Text("发布者", "author")
PUBLISHED_AT = Text("发布时间", "published")
EFFECTIVE_AT = Text("生效时间", "in force from")
FROM_THE_START = Text("一直", "ever")
CASE = Text("用例", "case")
RESULT = Text("结果", "result")
CASE_PASSED = Text("通过", "passed")
CASE_FAILED = Text("失败", "FAILED")
LINE = Text("行", "line")
FAULT = Text("问题", "fault")
PUBLISHED = Text("{version} 已发布。", "{version} is published.")
TESTS_SUMMARY = Text(
    "{passed} 项通过，{failed} 项失败，{faults} 个问题。", "{passed} passed, {failed} failed, {faults} faults."
)
QUESTION = Text("问题：{action}，账号 {account}，时间 {time}", "question: {action} for {account} at {time}")
DECIDED_BY = Text("决定：{effect}，版本 {version}", "answer: {effect}, by {version}")
FACTS = Text("事实", "facts")
THRESHOLDS = Text("阈值", "thresholds")
REPLAY_EQUAL = Text("按当时的事实重算，结果逐字节相同。", "Decided again from its facts: the same answer, bit for bit.")
REPLAY_DIFFERS = Text(
    "按当时的事实重算，结果不同：记录可能被改动过。",
    "Decided again from its facts: ANOTHER answer. Was it tampered with?",
)
SIMULATING = Text("试算中", "simulating")
BY_RULE = Text("按规则", "by rule")
BY_DEPARTMENT = Text("按部门", "by department")
BY_WEEK = Text("按周", "by week")
BEFORE = Text("当时", "then")
AFTER = Text("草稿", "under the draft")
REQUESTS = Text("请求", "requests")
ACCOUNTS = Text("账号数", "accounts")
WHO_CHANGES = Text("涉及账号", "who")
NOTHING_CHANGES = Text("{total} 个请求，没有任何变化。", "{total} requests, and nothing would change.")

# Meetings
OPTION_MEETING = Text(
    "会议号：查询会议，按其时间和主题预定，可用其他选项调整",
    "the meeting's number: it is looked up, and its time and subject are proposed; other options adjust them",
)
OPTION_YES = Text("不再询问", "do not ask again")
RESERVE_THIS = Text("按此预定？", "Reserve this?")
NOTHING_RESERVED = Text("没有预定。", "Nothing was reserved.")
SAY_YES = Text("请核对后加上 --yes。", "If this is right, add --yes.")
SAY_PEOPLE = Text("请说明参会人数：--people。", "Say how many people are expected: --people.")
SAY_EVERYTHING = Text(
    "请给出 --meeting，或同时给出 --code、--subject、--start、--minutes、--people。",
    "Give --meeting, or all of --code, --subject, --start, --minutes and --people.",
)
MEETING_TELLS_NO_TIME = Text(
    "查不到会议的时间，请给出 --start 和 --minutes。", "The meeting tells no time: give --start and --minutes."
)
MEETING_ELSEWHERE = Text(
    "会议时间是 {time}，预留时间须与之重叠；也可以先在腾讯会议中修改会议时间。",
    "The meeting takes place {time}: reserve a time that overlaps it, or move the meeting first.",
)
MEETING_OF_ANOTHER = Text(
    "这场会议是用其他账号创建的。请用创建它的账号登录，或请创建人将您指定为主持人，或用当前账号重新创建。",
    "This meeting was made with another account. Sign in with the account that made it, be named as its host, or make "
    "it again with this account.",
)
MEETING_PLANNED = Text("会议计划", "meeting planned")
MEETING_STATE = Text("会议状态", "meeting")
CAME = Text("入会查询", "who came")
CAME_NOBODY = Text("{time} 查询：无人进入", "asked {time}: nobody was there")
CAME_SOMEBODY = Text("{time} 查询：有人进入", "asked {time}: somebody was there")
CAME_UNKNOWN = Text(
    "{time} 第 {count} 次查询：未知（{reason}），不计违约",
    "asked {time}, time {count}: unknown ({reason}); it counts against nobody",
)
HELP_QUERY = Text("按会议号查询会议（教程步骤 1）", "look a meeting up by its number (step 1 of the tutorial)")
HELP_SIMULATE = Text("模拟腾讯会议里发生的事（开发环境）", "play what happens in the meeting client (development)")
HELP_SIMULATE_MEETING = Text("创建一场模拟会议", "make a simulated meeting")
HELP_SIMULATE_ENTER = Text("有人进入会议", "somebody enters")
HELP_SIMULATE_LEAVE = Text("有人离开会议", "somebody leaves")
HELP_SIMULATE_WAIT = Text("有人进入等候室（不算入会）", "somebody comes into the waiting room, which is not entering")
HELP_SIMULATE_END = Text("主持人结束会议", "the host ends it")
HELP_SIMULATE_CANCEL = Text("创建者取消会议", "its creator cancels it")
HELP_SIMULATE_MOVE = Text("创建者修改会议时间", "its creator moves it")
HELP_STANDIN = Text("本机的腾讯会议云端替身（开发环境）", "a local stand-in for Tencent's cloud (development)")
OPTION_WHO = Text("谁；默认当前登录的账号", "who; whoever is signed in by default")
OPTION_BEHALF = Text("代此账号查询（support、admin）", "on behalf of this account (support, admin)")
OPTION_ANY_OWNER = Text("也包括他人的会议（support、admin）", "also meetings of others (support, admin)")
OPTION_OCCURRENCE = Text(
    "重复会议的第几场，默认正在进行或下一场",
    "which occurrence of a recurring meeting; the one under way or next by default",
)
OPTION_ONLY_ONE = Text(
    "只取消重复会议的这一场；默认全部", "only this occurrence of a recurring meeting; all by default"
)
OPTION_LENGTH = Text("会议时长，分钟", "how long the meeting is, in minutes")
OPTION_PORT = Text("端口；0 为任意空闲端口", "port; 0 for any that is free")
OPTION_WEBHOOKS = Text(
    "事件发往何处；默认发往本机的 {yunhui} up，留空则不发",
    "where events are sent: to the {yunhui} up of this machine by default; empty for nowhere",
)
OPTION_SHARE = Text("此类事件所占的比例，0 至 1", "share of the events that this befalls, 0 to 1")
OPTION_USERS = Text("企业成员，可重复", "somebody of the enterprise; repeatable")
OPTION_MEETINGS = Text("off：不查询会议，会议号可以任意填写", "off: meetings are not looked up, and any number will do")
OPTION_PORTAL = Text("off：不启动网页", "off: without the pages")
OPTION_STANDIN = Text(
    "使用此地址的替身（见 {yunhui} standin --help）", "use the stand-in there (see {yunhui} standin --help)"
)
STANDIN_RUNS = Text(
    "替身地址：{address}，事件发往：{webhooks}。另开终端运行：{yunhui:up --standin {address}}（Ctrl-C 结束）",
    "The stand-in is at {address} and sends events to {webhooks}. In another terminal: {yunhui:up --standin {address}} "
    "(Ctrl-C ends)",
)
MEETING_NOT_FOUND = Text(
    "没有查到会议 {number}。可能的原因：会议号有误；会议是用个人免费版账号创建的，无法查询；会议号已被回收。"
    "请核对会议号，并确认登录腾讯会议和本平台的是同一个账号。",
    "No meeting {number} was found. The number may be mistyped; the meeting may belong to a personal free account, "
    "which cannot be looked up; or its number was given back. Check the number, and that you are signed in here and in "
    "Tencent Meeting with the same account.",
)
ONLY_DEVELOPMENT = Text("只能在本机的开发环境中模拟。", "Only a development installation on this machine can simulate.")
MEETING_UNKNOWN = Text("未知", "unknown")
MEETING_SCHEDULED = Text("未开始", "to come")
MEETING_RUNNING = Text("进行中", "under way")
MEETING_ENDED = Text("已结束", "over")
MEETING_CANCELLED = Text("已取消", "cancelled")
CREATOR = Text("创建者", "made by")
HOSTS = Text("主持人", "hosts")
MEETING_ID = Text("会议 ID", "meeting id")
CALLED_OFF = Text("（本场已取消）", "(called off)")
MORE_OCCURRENCES = Text("以及更多场次", "and more")

# Clock, mail, bus, doctor
CLOCK_IS = Text("开发时钟：{time}", "development clock: {time}")
NO_MAIL = Text("没有邮件。", "No mail.")
MAIL_NUMBER = Text("编号", "no.")
MAIL_TO = Text("收件人", "to")
MAIL_FROM = Text("发件人", "from")
MAIL_DATE = Text("日期", "date")
MAIL_SUBJECT = Text("主题", "subject")
ATTACHMENT = Text("附件", "attached")
WAITING_FOR_EVENTS = Text("等待事件…（Ctrl-C 结束）", "waiting for events ... (Ctrl-C ends)")
BUS_LOST = Text("与消息总线的连接断开，正在重连…", "the bus is away; connecting again ...")
BUS_BACK = Text("已重新连接，从断开处继续。", "connected again, going on from where it was.")
STREAM_AWAY = Text("事件流 {stream} 暂不可用，正在重试…", "the stream {stream} is away; trying again ...")
STREAM_BACK = Text("事件流 {stream} 已恢复。", "the stream {stream} is back.")
WAITING_FOR_CHANGES = Text("等待变化…（Ctrl-C 结束）", "waiting for changes ... (Ctrl-C ends)")
BUS_CREATED = Text("{name}：已创建", "{name}: created")
BUS_UPDATED = Text("{name}：已更改（{settings}）", "{name}: updated ({settings})")
BUS_UNCHANGED = Text("{name}：无需更改", "{name}: as declared, nothing to do")
BUS_REFUSED = Text(
    "服务器上的 {name} 无法改成声明的样子：{reason}。",
    "The server cannot make {name} what it is declared to be: {reason}.",
)
BUS_NOT_SET_UP = Text(
    "消息总线没有答复（{reason}）：请确认 JetStream 已启用，并且用户是管理员（admin）。",
    "The bus gave no answer ({reason}): see that JetStream is enabled, and that the user is the administrator (admin).",
)
OPTION_METRICS = Text(
    "开放各服务的 Prometheus 指标页（仅本机）", "serve a Prometheus page for each program, on this machine"
)
METRICS = Text("指标", "metrics")
CHECKED = Text("检查项", "checked")
FOUND = Text("结果", "found")
GOOD = Text("正常", "ok")
ANSWERS = Text("有应答", "answers")
SILENT = Text("没有应答", "does not answer")
BAD = Text("有问题", "wrong")
WARNED = Text("注意", "warning")
WAY_OUT = Text("怎么办", "way out")
SEE_LOG = Text("查看日志：{log}", "see the log: {log}")
RESTART_UP = Text("停止 {yunhui} up，再启动一次", "stop {yunhui} up and start it again")
SET_SYNC_ALWAYS = Text(
    "在 NATS 配置的 jetstream 中设 sync_interval: always，再重启 NATS",
    "set sync_interval: always under jetstream in the configuration of NATS, and restart NATS",
)
SET_CLOCKS = Text("用 NTP 校准各台机器的时钟", "set the clocks of the machines by NTP")
RUN_BUS_SETUP = Text("运行 {yunhui:bus setup}", "run {yunhui:bus setup}")
START_MAIL_SERVER = Text("检查邮件服务器的地址，确认它在运行", "check the address of the mail server, and that it runs")
MEND_DATABASE = Text("检查数据库文件及其权限，或恢复备份", "check the file and its permissions, or restore a backup")
UPGRADE_DATABASE = Text("启动该服务，它会升级自己的表", "start the program: it upgrades its own tables")
MAKE_ROOM = Text("清理磁盘，或换一块更大的", "make room on the disk, or use a larger one")
SEE_OUTBOX = Text("运行 {yunhui:outbox status}，并检查总线", "run {yunhui:outbox status}, and look at the bus")
SEE_DEAD = Text(
    "运行 {yunhui:events dead list}，逐条重试或放弃", "run {yunhui:events dead list}, and retry or drop each"
)
RENEW_KEYS = Text("恢复签发方的公钥文件 {file}", "restore the issuer's public keys: {file}")

# Notices
HELP_DELIVERIES = Text("通知的投递记录（技术支持）", "who was told what, and how that went (support)")
HELP_DELIVERIES_LIST = Text("列出投递记录，最新的在前", "list deliveries, newest first")
HELP_DELIVERIES_SHOW = Text("显示一次投递及每次尝试", "show a delivery and each of its attempts")
HELP_DELIVERIES_RESEND = Text("重新发送", "send it again")
HELP_PREFERENCES = Text("选择接收哪些通知", "which notices one gets")
HELP_PREFERENCES_SHOW = Text("显示各种通知是否发送", "show which notices are sent")
HELP_PREFERENCES_SET = Text("打开或关闭通知，如 reminder=off", "switch notices on or off, e.g. reminder=off")
HELP_WEBHOOKS = Text("Webhook 订阅（管理员）", "webhooks (admin)")
HELP_WEBHOOKS_LIST = Text("列出 Webhook", "list the webhooks")
HELP_WEBHOOKS_ADD = Text("登记 Webhook；密钥只显示一次", "register a webhook; its secret is shown once")
HELP_WEBHOOKS_SET = Text("修改、停用或重新启用", "change it, switch it off or on again")
HELP_WEBHOOKS_REMOVE = Text("删除 Webhook", "remove a webhook")
HELP_DEAD = Text("无法处理的事件（管理员）", "events that could not be read (admin)")
HELP_DEAD_LIST = Text("列出无法处理的事件", "list them")
HELP_DEAD_SHOW = Text("显示一个事件的全部内容", "show all of one")
HELP_DEAD_RETRY = Text("重新处理", "take it in again")
HELP_DEAD_DROP = Text("放弃，并记录原因", "settle it without effect, with the reason on the record")
OPTION_ABOUT_RESERVATION = Text("只看关于此预约的", "only about this reservation")
OPTION_ABOUT_ACCOUNT = Text("只看关于此账号的", "only about this account")
OPTION_KIND = Text("只看此种通知，如 confirmation", "only notices of this kind, e.g. confirmation")
OPTION_DELIVERY_STATE = Text("只看此状态", "only in this state")
OPTION_DEAD_STATE = Text("只看此状态；默认待处理", "only in this state; open by default")
OPTION_LIMIT = Text("最多列出多少条", "list at most so many")
OPTION_PAGE = Text("继续列出：上一页末尾给出的标记", "go on: the token that the page before ended with")
OPTION_WHOSE_NOTICES = Text("此账号的（admin）", "of this account (admin)")
OPTION_WISHES = Text("如 reminder=off confirmation=on", "e.g. reminder=off confirmation=on")
OPTION_URL = Text("新的地址", "the new address")
OPTION_WEBHOOK_ON = Text("是否发送事件", "whether events are sent")
BAD_WISH = Text("看不懂 “{typed}”，请写成 reminder=off。", "cannot read '{typed}'; write it like reminder=off.")
DELIVERY = Text("投递", "delivery")
NOTICE = Text("通知", "notice")
ATTEMPT = Text("第几次", "attempt")
ATTEMPTS = Text("次数", "attempts")
SERVER_SAID = Text("对方答复", "the server said")
EVENT = Text("事件", "event")
EVENTS_WANTED = Text("订阅的事件", "events")
ADDRESS = Text("地址", "address")
WEBHOOK = Text("订阅", "webhook")
MESSAGE_ID = Text("邮件标识", "message id")
SWITCH = Text("名称", "name")
IS_SENT = Text("是否发送", "sent")
ALWAYS = Text("必发", "always")
DELIVERY_QUEUED = Text("等待发送", "queued")
DELIVERY_SENT = Text("已送达", "sent")
DELIVERY_FAILED = Text("失败", "failed")
VERDICT_ACCEPTED = Text("已接收", "accepted")
VERDICT_TEMPORARY = Text("暂时不收", "not now")
VERDICT_PERMANENT = Text("拒收", "refused for good")
VERDICT_AWAY = Text("联系不上", "away")
VERDICT_UNKNOWN = Text("结果不明", "unknown")
DELIVERY_RESENT = Text("{id} 已排队，将重新发送。", "{id} is queued and will be sent again.")
TRIED_NEXT = Text("下次尝试：{time}", "tried next: {time}")
NO_DELIVERIES = Text("没有投递记录。", "No deliveries.")
MORE = Text("还有更多：--page {page}", "there is more: --page {page}")
NO_WEBHOOKS = Text("没有 Webhook 订阅。", "No webhooks.")
WEBHOOK_ADDED = Text("已登记 {id}：{url}", "{id} is registered: {url}")
WEBHOOK_SECRET = Text(
    "签名密钥如下，只显示这一次，请妥善保存：", "Its secret for checking signatures, shown only now; keep it safe:"
)
WEBHOOK_REMOVED = Text("已删除 {id}。", "{id} is removed.")
WEBHOOK_OFF = Text("已停用：{reason}", "off: {reason}")
WEBHOOK_FAILING = Text("自 {time} 起未被接收", "nothing accepted since {time}")
DEAD_OPEN = Text("待处理", "open")
DEAD_RETRIED = Text("已重新处理", "taken in")
DEAD_DROPPED = Text("已放弃", "dropped")
DEAD_TAKEN_IN = Text("{id} 已重新处理。", "{id} was taken in.")
DEAD_SETTLED = Text("{id} 已放弃，原因已记录。", "{id} is dropped; the reason is on the record.")
NO_DEAD_EVENTS = Text("没有这样的事件。", "No such events.")

# Demo
STORY_TITLE = Text("教程演示", "the tutorial as a story")
STEP = Text("步骤", "step")
ASKED = Text("请求", "asked")
ANSWER = Text("答复", "answer")
EXPECTED = Text("应为：{expected}", "expected: {expected}")
DEMO_TUTORIAL = Text("教程截图里的 30 分钟会议", "the tutorial's own 30-minute meeting")
DEMO_ORDINARY = Text("60 分钟的普通会议", "an ordinary meeting of an hour")
DEMO_DAILY = Text("同一天的第 4 次", "the 4th of one day")
DEMO_WEEKLY = Text("同一周的第 11 次", "the 11th of one week")
DEMO_HORIZON = Text("提前 8 天", "8 days ahead")
DEMO_CUTOFF = Text("开始前 29 分钟", "29 minutes before the start")
DEMO_LARGE = Text("120 人的大型会议", "a large meeting of 120")
DEMO_NO_SHOW = Text("30 分钟内无人进入", "nobody enters within 30 minutes")
DEMO_SECOND = Text("一周内第二次未参会", "the second no-show of a week")
DEMO_SUSPENDED = Text("受限期间再预定", "reserving while suspended")
DEMO_ASKED = Text(
    "{account}，{start}，{minutes} 分钟，{people} 人", "{account}, {start}, {minutes} min, {people} people"
)
DEMO_NOT_STARTED = Text("演示环境没有启动：\n{log}", "The demo's programs did not start:\n{log}")
NOT_EMPTY = Text(
    "{folder} 不是空目录，演示需要从头开始。", "{folder} is not empty: the demo must begin at the beginning."
)
STAYING = Text(
    "故事留下的一切可在 {address} 查看：\n"
    "  以 booker 登录看一次预约；在“其他人”里填写 booker-4 看待审批的申请，填写 booker-5 看两次未参会和限制预定；\n"
    "  以 support 登录处理待审批的申请。\n"
    "  邮件：{yunhui} mail --state {state}。按 Ctrl-C 结束。",
    "What the story left behind is to be seen at {address}:\n"
    "  sign in as booker for a reservation, under “Somebody else” as booker-4 for one that waits for support\n"
    "  and as booker-5 for two no-shows and closed booking, and as support to decide what waits.\n"
    "  Mails: {yunhui} mail --state {state}. Ctrl-C ends it.",
)
KEPT = Text(
    "状态保留在 {folder}；可用 {yunhui} up --state {folder} 继续。",
    "The state stays in {folder}; go on with {yunhui} up --state {folder}.",
)

# Outbox
OPTION_FROM_START = Text(
    "从第一个事件起全部重发（默认：接在流中最后一个事件之后）",
    "publish all again (default: after the last event in the stream)",
)
REPLAYED = Text(
    "已重新发布 {number} 个事件到流 {stream}。", "{number} events were published again to the stream {stream}."
)
REPLAYING = Text("正在发布", "publishing")
NO_STREAM = Text(
    "没有流 {stream}。请先运行：{yunhui:bus setup}", "There is no stream {stream}. First run: {yunhui:bus setup}"
)
PROGRAM = Text("程序", "program")
STORED_EVENTS = Text("已存事件", "stored")
WAITING_EVENTS = Text("待发布", "waiting")
WAITING_SINCE = Text("最早待发布", "waiting since")
IN_STREAM = Text("流中", "in stream")
PUBLISHED_BY = Text("发布者", "published by")
MISSING = Text("没有", "missing")

# Audit log
HELP_AUDIT = Text("审计日志：谁在何时做了什么（admin 角色）", "the audit log: who did what when (role admin)")
HELP_AUDIT_LIST = Text("列出记录，新的在前", "list entries, newest first")
HELP_AUDIT_VERIFY = Text("检查哈希链是否完整", "check that the chain of hashes is whole")
HELP_AUDIT_EXPORT = Text("导出为 JSON 行或 CSV", "export as JSON lines or CSV")
OPTION_PROGRAM = Text("只看这个程序", "only of this program")
OPTION_ACTOR = Text("操作者的账号", "account of who acted")
OPTION_CONCERNED = Text("涉及的账号", "account that it concerns")
OPTION_TARGET = Text("操作对象，如 room/small-1", "what was acted on, for example room/small-1")
OPTION_AFTER = Text("从此时起（真实时间）", "from this time on (real time)")
OPTION_BEFORE = Text("到此时为止（真实时间）", "until this time (real time)")
OPTION_HEAD = Text("以前记下的链首，可多次给出", "a head noted earlier; may be given more than once")
OPTION_EXPORT = Text("检查导出的 JSON 行文件，不连服务", "check an export of JSON lines; needs no service")
OPTION_FORMAT = Text("格式", "format")
OPTION_OUT = Text("写入新文件，而不是标准输出", "write to a new file instead of standard output")
AUDIT_WHOLE = Text("{program}：{count} 条，完整。链首 {head}", "{program}: {count} entries, whole. Head {head}")
AUDIT_BROKEN_IN = Text(
    "{program}：前 {count} 条完好，其后断裂。最后完好的链首 {head}",
    "{program}: broken after {count} entries in order. Last head in order {head}",
)
AUDIT_BROKEN = Text(
    "{program} 的审计日志断裂，第一条有问题的是第 {number} 条（{fault}）。请与备份和以前记下的链首对照。",
    "the audit log of {program} is broken, first at entry {number} ({fault}): compare it with backups and noted heads",
)
AUDIT_EXPORTED = Text("已导出 {count} 条到 {file}。", "{count} entries were exported to {file}.")
AUDIT_NO_EXPORT = Text(
    "{file} 第 {line} 行不是 `{yunhui:audit export --format jsonl}` 导出的 JSON 行。",
    "{file}, line {line}: not a line of `{yunhui:audit export --format jsonl}`",
)
BAD_HEAD = Text(
    "“{typed}”不是链首：应为 程序:编号:哈希，如 `{yunhui:audit verify}` 所示。",
    "{typed!r} is no head: it must be PROGRAM:NUMBER:HASH, as `{yunhui:audit verify}` shows it",
)
CANNOT_WRITE = Text("不能写入 {file}：{reason}", "cannot write {file}: {reason}")
NO_ENTRIES = Text("没有记录。", "there are no entries.")
NUMBER = Text("编号", "number")
ACTOR = Text("操作者", "by")
ACT = Text("操作", "act")
TARGET = Text("对象", "target")
CONCERNED = Text("涉及账号", "concerns")
OUTCOME = Text("结果", "outcome")
DETAIL = Text("详情", "detail")

# Backup
HELP_BACKUP = Text("备份本机数据（运行中也可以）", "back up the data of this machine, also while it runs")
HELP_RESTORE = Text("把备份恢复到空的状态目录", "restore a backup into an empty state directory")
ARGUMENT_BACKUP = Text("备份的目录", "directory of the backup")
COPYING = Text("正在复制 {name}", "copying {name}")
BACKED_UP = Text("已备份到 {directory}（{size}）。", "backed up to {directory} ({size}).")
AUDIT_HEAD = Text("  审计链首 {head}", "  audit head {head}")
BACKUP_IS_SECRET = Text(
    "备份含有密钥和个人数据，请像密码一样保管；审计链首请另记一处。",
    "it holds keys and personal data: keep it as you would a password, and note the audit heads elsewhere.",
)
RESTORED = Text(
    "已恢复到 {state}：{time} 的备份，版本 {version}。`{yunhui:up}` 会重新发布全部事件，已知发出的通知不会重发。",
    "restored to {state}: the backup of {time}, version {version}. `{yunhui:up}` publishes all events again; "
    "no notice that the backup knows as sent is sent again.",
)
NOTHING_TO_BACK_UP = Text("{what} 里没有可备份的数据。", "there is no installation to back up in {what}")
BACKUP_EXISTS = Text("{what} 已存在：请给出新的目录名。", "{what} exists already: name a new directory")
STATE_NOT_EMPTY = Text(
    "状态目录 {what} 不是空的：用 --state 指定一个新目录。",
    "the state directory {what} is not empty: name a new one with --state",
)
NO_BACKUP = Text(
    "{what} 不是 `{yunhui} backup` 所做的完整备份。", "{what} is no complete backup made by `{yunhui} backup`"
)
BACKUP_NEWER = Text(
    "备份来自更新的版本（{what}）：请用那个版本恢复。",
    "the backup is of a newer version ({what}): restore it with that one",
)
BACKUP_DAMAGED = Text("已损坏：{what}。没有恢复或写入任何东西。", "damaged: {what}. Nothing was restored or written")
BACKUP_DISK = Text("不能写入：{what}。没有留下任何东西。", "cannot be written: {what}. Nothing was left behind")
