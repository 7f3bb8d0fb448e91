"""`yunhui clock`: looks at the development clock and moves it forward. There is none in production."""

from datetime import datetime, timedelta

from services.cli import arguments, moments
from services.cli.client import no_state
from services.cli.failures import CommandError, ExitCode
from services.cli.reasons import FailureReason
from services.cli.terminal import Terminal
from services.installation import development_clock
from services.installation.development_clock import BackwardsError
from services.installation.state import State
from services.platform.text.messages import message
from services.platform.text.times import PLATFORM_ZONE


def show(terminal: Terminal) -> None:
    tell(terminal, development_clock.now(development_state(terminal)))


def advance(terminal: Terminal, duration: str) -> None:
    step = arguments.read_duration(duration)
    state = development_state(terminal)
    development_clock.advance(state, step // timedelta(milliseconds=1))
    tell(terminal, development_clock.now(state))


def set_to(terminal: Terminal, moment: str) -> None:
    wanted = arguments.read_moment(moment, development_clock.now(terminal.state))
    state = development_state(terminal)
    try:
        development_clock.move_to(state, wanted)
    except BackwardsError as error:
        raise backwards(error, terminal.language) from error
    tell(terminal, development_clock.now(state))


def development_state(terminal: Terminal) -> State:
    if not terminal.state.exists():
        raise no_state(terminal)
    return terminal.state


def backwards(error: BackwardsError, language: str) -> CommandError:
    return CommandError(
        FailureReason.CLOCK_BACKWARDS,
        ExitCode.USAGE,
        now=moments.show_moment(error.now, language),
        wanted=moments.show_moment(error.wanted, language),
    )


def tell(terminal: Terminal, now: datetime) -> None:
    terminal.print_json({"time": now.astimezone(PLATFORM_ZONE).isoformat(timespec="milliseconds")})
    terminal.say(message("development clock: {time}"), time=moments.show_moment(now, terminal.language))
