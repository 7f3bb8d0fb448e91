"""Why a command ends early: the name that programs read, which stays, and the sentence for people."""

from enum import Enum, unique

from services.platform.text.messages import message


@unique
class FailureReason(Enum):
    """By the name that stands in the JSON of an error."""

    NO_SUCH_OPTION = message("There is no option {option}.")
    NO_SUCH_COMMAND = message("There is no command '{command}'.")
    COMMAND_NEEDED = message("Say which command to run.")
    TOO_MANY_WORDS = message("'{words}' is more than this command takes.")
    MISSING_VALUE = message("{name} is missing.")
    VALUE_NEEDED = message("The option {option} needs a value.")
    NO_VALUE_WANTED = message("The option {option} takes no value.")
    BAD_VALUE = message("The value of {name} cannot be used: {fault}")
    NOT_A_WHOLE_NUMBER = message("{name} must be a whole number, not '{typed}'.")
    NOT_A_DECIMAL = message("{name} must be a number, not '{typed}'.")
    AT_LEAST = message("{name} must be at least {limit}, not {typed}.")
    AT_MOST = message("{name} must be at most {limit}, not {typed}.")
    UNEXPECTED = message("A fault of the command itself: {detail}")
    INTERRUPTED = message("interrupted")
    BAD_TIME = message("cannot read the time '{typed}'; write it like '{example}'.")
    BAD_DURATION = message("cannot read '{typed}'; write 45m, 2h or 1d.")
    BAD_CHOICE = message("'{typed}' is not known; choose one of: {choices}.")
    BAD_FILTER = message("no event can match '{typed}'. Examples of what can: {choices}.")
    BAD_ACCOUNT = message("an account's name has 1 to 64 letters, digits, '-', '_' or '.'.")
    NOT_SIGNED_IN = message("Nobody is signed in. First run: {yunhui:login booker}")
    NO_STATE = message("There is no development installation in {state}. First run: {yunhui:up}")
    NOT_RUNNING = message("Yunhui is not running. First run: {yunhui:up}")
    BUS_AWAY = message("The bus at {address} cannot be reached.")
    AWAY = message("{address} is away; nothing was changed, try again soon. {detail}")
    NOT_FOUND = message("Not found: {detail}.")
    INVALID_FIELD = message("{name}: {detail}.")
    UNAUTHENTICATED = message("Not signed in, or no longer ({detail}). Sign in again: {yunhui:login booker}")
    HALF_A_CERTIFICATE = message("YUNHUI_TLS_CERTIFICATE and YUNHUI_TLS_KEY belong together: set both or neither.")
    NO_CERTIFICATE = message("The certificate file {file} cannot be read.")
    RATE_LIMITED = message("Too many calls in a short time: wait {seconds} s and try again.")
    FORBIDDEN = message("Not allowed: {detail}.")
    OTHER_ERROR = message("That did not work: {detail}.")
    NO_SUCH_MAIL = message("There is no mail number {number}.")
    CLOCK_BACKWARDS = message(
        "Time cannot go back: it is {now}, asked for was {wanted}, and stored data would lie in "
        "the future. Use another state directory, or a later moment."
    )
    ALREADY_RUNNING = message("Another {yunhui} up is running on {state}.")
    PORT_TAKEN = message("Port {port} ({program}) is taken. Stop the program that holds it, or add --ports auto.")
    STOPPED_AFTER_FAULT = message("Everything was stopped because of {program}.")
    NO_DRY_SERIES = message("--dry-run asks for one reservation: leave --repeat out.")
    NOTHING_TO_CHANGE = message("Say what to change: --start, --minutes or --people.")
    NO_SUCH_DEPARTMENT = message(
        "There is no department '{typed}'. Give its path from the top, or its number: {yunhui:departments tree}"
    )
    NO_SUCH_MEETING = message(
        "No meeting that you may see has the number or id '{typed}'. Look for it: {yunhui:meetings list}"
    )
    SEVERAL_PEOPLE = message("'{typed}' is there several times: name one of {choices}.")
    NOT_THERE = message("'{typed}' is neither inside nor in the waiting room.")
    NO_SUCH_ROLE = message("There is no role '{typed}'. Give its name, or its number: {yunhui:roles list}")
    SAY_WHAT = message("Say what to change.")
    SAY_WHAT_BECOMES = message("Say what becomes of the reservations: either --to or --cancel.")
    SAY_WHERE_TO = message("Say where to: --under or --top, or --before one that is there.")
    NO_SUCH_CONTACT = message("No contact has the address {email}.")
    NO_SUCH_DOMAIN = message("No row is about the domain {domain}.")
    NO_TOKEN = message("YUNHUI_TOKEN is no token.")
    NO_FILE = message("The file {path} cannot be read.")
    FILE_OR_PROVIDER = message("Give either a file or --from-provider.")
    NOT_FETCHED = message("The provider's people could not be fetched: {reason}")
    SAY_YES = message("If this is right, add --yes.")
    SAY_PEOPLE = message("Say how many people are expected: --people.")
    SAY_EVERYTHING = message(
        "Give --meeting, or all of --code (or --make), --subject, --start, --minutes and --people."
    )
    MAKE_OR_NUMBER = message("Give either --make or the number of a meeting that there is.")
    ONLY_WITH_MAKE = message("{option} says how a meeting is to be that is made: add --make.")
    MEETING_TELLS_NO_TIME = message("The meeting tells no time: give --start and --minutes.")
    MEETING_ELSEWHERE = message(
        "The meeting takes place {time}: reserve a time that overlaps it, or move the meeting first."
    )
    MEETING_OF_ANOTHER = message(
        "This meeting was made with another account. Sign in with the account that made it, be "
        "named as its host, or make it again with this account."
    )
    ONLY_DEVELOPMENT = message("Only a development installation on this machine can simulate.")
    BUS_REFUSED = message("The server cannot make {name} what it is declared to be: {reason}.")
    BUS_NOT_SET_UP = message(
        "The bus gave no answer ({reason}): see that JetStream is enabled, and that the user is "
        "the administrator (admin)."
    )
    BAD_WISH = message("cannot read '{typed}'; write it like reminder=off.")
    DEMO_NOT_STARTED = message("The demo's programs did not start:\n{log}")
    NOT_EMPTY = message("{folder} is not empty: the demo must begin at the beginning.")
    NO_STREAM = message("There is no stream {stream}. First run: {yunhui:bus setup}")
    AUDIT_BROKEN = message(
        "the audit log of {program} is broken, first at entry {number} ({fault}): compare it "
        "with backups and noted heads"
    )
    AUDIT_NO_EXPORT = message("{file}, line {line}: not a line of `{yunhui:audit export --format jsonl}`")
    BAD_HEAD = message("{typed!r} is no head: it must be PROGRAM:NUMBER:HASH, as `{yunhui:audit verify}` shows it")
    CANNOT_WRITE = message("cannot write {file}: {reason}")
    NOTHING_TO_BACK_UP = message("there is no installation to back up in {what}")
    BACKUP_EXISTS = message("{what} exists already: name a new directory")
    STATE_NOT_EMPTY = message("the state directory {what} is not empty: name a new one with --state")
    NO_BACKUP = message("{what} is no complete backup made by `{yunhui} backup`")
    BACKUP_NEWER = message("the backup is of a newer version ({what}): restore it with that one")
    BACKUP_DAMAGED = message("damaged: {what}. Nothing was restored or written")
    BACKUP_DISK = message("cannot be written: {what}. Nothing was left behind")
    MEETING_NOT_FOUND = message(
        "No meeting {number} was found. The number may be mistyped; the meeting may belong to a "
        "personal free account, which cannot be looked up; or its number was given back. Check "
        "the number, and that you are signed in here and in Tencent Meeting with the same "
        "account."
    )
