"""Help, and what is wrong with what was typed, in the reader's language or as JSON: typer reads, we speak."""

import difflib
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text as Styled

# typer ships the click that it is made of, and has no public name for it
from typer._click import exceptions as faults
from typer._click.core import Command as AnyCommand
from typer._click.core import Context
from typer._click.formatting import HelpFormatter
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from services.cli import languages, myself
from services.cli.failures import CommandError, ExitCode
from services.cli.panels import PANELS
from services.cli.reasons import FailureReason
from services.cli.terminal import DEFAULT_STATE, STATE_VARIABLE, console, report, speak
from services.installation.state import State
from services.platform.text.languages import CHINESE, ENGLISH, LANGUAGES, read
from services.platform.text.messages import Text, message

Parameter = TyperArgument | TyperOption
KINDS = {int: "NUMBER", float: "NUMBER", Path: "FILE"}
PLACEHOLDERS = {
    "ACCOUNT": message("account"),
    "CODE": message("meeting"),
    "DEPARTMENT": message("department"),
    "DOMAIN": message("mail domain"),
    "DIR": message("DIR"),
    "DURATION": message("DURATION"),
    "EMAIL": message("e-mail"),
    "FILE": message("FILE"),
    "HASH": message("HASH"),
    "ID": message("number"),
    "KIND": message("KIND"),
    "LANG": message("LANG"),
    "MEETING": message("meeting"),
    "RECORDING": message("recording"),
    "MOMENT": message("MOMENT"),
    "NAME": message("name"),
    "NOTICE": message("notice"),
    "NUMBER": message("NUMBER"),
    "DEVICE": message("device"),
    "PERSON": message("person"),
    "PERMISSION": message("permission"),
    "PROGRAM": message("program"),
    "ROLE": message("role"),
    "RULES": message("RULES"),
    "STATE": message("state"),
    "TEXT": message("TEXT"),
    "VERSION": message("version"),
    "ZONE": message("time zone"),
}
"""What stands for a value in help; what is not here is typed as it stands, as in fixed|auto."""
FAULTS = {
    "int_parsing": FailureReason.NOT_A_WHOLE_NUMBER,
    "int_from_float": FailureReason.NOT_A_WHOLE_NUMBER,
    "float_parsing": FailureReason.NOT_A_DECIMAL,
    "greater_than_equal": FailureReason.AT_LEAST,
    "less_than_equal": FailureReason.AT_MOST,
}
"""By the names that pydantic gives to what is wrong with a value."""


@dataclass(frozen=True, slots=True)
class Glance:
    """The options of every command, read before typer reads anything: help and usage errors need them already."""

    state: str | None = None
    lang: str | None = None
    json: bool = False


def glance(arguments: Sequence[str]) -> Glance:
    """The last of each counts, wherever it stands before a bare --."""
    found: dict[str, str | None] = {"--state": None, "--lang": None}
    words = [*arguments[: arguments.index("--")]] if "--" in arguments else [*arguments]
    for word, following in zip(words, [*words, None][1:], strict=True):
        option, equals, value = word.partition("=")
        if option in found:
            found[option] = value if equals else following
    return Glance(found["--state"], found["--lang"], json="--json" in words)


class Command(TyperCommand):
    """One command."""

    def format_help(self, ctx: Context, formatter: HelpFormatter) -> None:
        show_help(self, ctx)

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        ctx.allow_extra_args = True  # or typer would say in English that there are some
        rest = super().parse_args(ctx, args)
        if rest and not ctx.resilient_parsing:
            raise misused(ctx, FailureReason.TOO_MANY_WORDS, {"words": " ".join(rest)})
        return rest


class Group(TyperGroup):
    """Commands under one noun."""

    def format_help(self, ctx: Context, formatter: HelpFormatter) -> None:
        show_help(self, ctx)

    def resolve_command(self, ctx: Context, args: list[str]) -> tuple[str | None, AnyCommand | None, list[str]]:
        name = args[0]
        if name not in self.commands and not name.startswith("-"):
            near = difflib.get_close_matches(name, self.commands)
            raise misused(ctx, FailureReason.NO_SUCH_COMMAND, {"command": name}, near=near)
        return super().resolve_command(ctx, args)


class Root(Group):
    """`yunhui` itself: whatever goes wrong below ends here, as a sentence or as JSON, and as an exit code."""

    language = CHINESE

    def main(self, args: Sequence[str] | None = None, *_: object, **__: object) -> NoReturn:
        arguments = sys.argv[1:] if args is None else list(args)
        seen = glance(arguments)
        myself.remember_state(seen.state)
        self.language = language_for(seen)
        code = attempt(lambda: super(Root, self).main(arguments, myself.name(), standalone_mode=False), seen)
        sys.exit(int(code))


def attempt(work: Callable[[], int | None], seen: Glance) -> int:
    """The exit code of `work`; what there is to say about it is said."""
    try:
        check_language(seen)
        code = work() or ExitCode.OK
    except faults.NoArgsIsHelpError:
        return ExitCode.USAGE  # the help was shown when this error was made
    except (CommandError, faults.UsageError, typer.Abort, KeyboardInterrupt) as error:
        code = fail(to_failure(error), seen)
    except Exception as error:
        if not seen.json:
            raise
        failure = CommandError(FailureReason.UNEXPECTED, detail=f"{type(error).__name__}: {error}")
        failure.details = [{"traceback": traceback.format_exc()}]
        code = fail(failure, seen)
    else:
        if code == ExitCode.INTERRUPTED:
            fail(CommandError(FailureReason.INTERRUPTED, ExitCode.INTERRUPTED), seen)
    return code


def check_language(seen: Glance) -> None:
    """Raises CommandError for a language that was asked for and is none of ours."""
    for name in (seen.lang, os.environ.get(languages.VARIABLE)):
        if name and read(name) is None:
            choices = ", ".join(LANGUAGES)
            raise CommandError(FailureReason.BAD_CHOICE, ExitCode.USAGE, typed=name, choices=choices, field="--lang")


def fail(failure: CommandError, seen: Glance) -> int:
    """Whoever pressed Ctrl-C knows that they did; a program that waits for an answer does not."""
    if seen.json or failure.code != ExitCode.INTERRUPTED:
        report(failure, language_for(seen), as_json=seen.json)
    return failure.code


def language_for(seen: Glance) -> str:
    return speak(State(Path(seen.state or os.environ.get(STATE_VARIABLE) or DEFAULT_STATE)), seen.lang).language


def to_failure(error: CommandError | faults.UsageError | typer.Abort | KeyboardInterrupt) -> CommandError:
    """What typer found wrong, in our words."""
    if isinstance(error, CommandError):
        return error
    if isinstance(error, typer.Abort | KeyboardInterrupt):  # the first of a question that was not answered
        return CommandError(FailureReason.INTERRUPTED, ExitCode.INTERRUPTED)
    context, name = error.ctx, _name_of(error)
    if isinstance(error, faults.NoSuchOption):
        return misused(
            context, FailureReason.NO_SUCH_OPTION, {"option": name}, field=name, near=error.possibilities or ()
        )
    if isinstance(error, faults.MissingParameter):
        return misused(context, FailureReason.MISSING_VALUE, {"name": Label(name)}, field=name)
    if isinstance(error, faults.BadOptionUsage):
        why = FailureReason.VALUE_NEEDED if "requires" in error.message else FailureReason.NO_VALUE_WANTED
        return misused(context, why, {"option": name}, field=name)
    if isinstance(error, faults.BadParameter):
        why, values = _fault_of(error)
        return misused(context, why, {"name": Label(name), **values}, field=name)
    return misused(context, FailureReason.COMMAND_NEEDED, {})


def _name_of(error: faults.UsageError) -> str:
    """The option as it is typed, or the placeholder of an argument."""
    if isinstance(error, faults.NoSuchOption | faults.BadOptionUsage):
        return str(error.option_name)
    parameter = getattr(error, "param", None)
    if isinstance(parameter, TyperArgument):
        return placeholder_of(parameter)
    return str(parameter.opts[0]) if parameter else ""


def _fault_of(error: faults.BadParameter) -> tuple[FailureReason, dict[str, object]]:
    """What is wrong with a value, and the limit that it is beyond."""
    cause = error.__cause__
    found = cause.errors()[0] if isinstance(cause, ValidationError) else None
    if found is None:
        return FailureReason.BAD_VALUE, {"fault": error.message}
    limits = found.get("ctx", {})
    limit = limits.get("ge", limits.get("le", ""))
    return FAULTS.get(found["type"], FailureReason.BAD_VALUE), {
        "fault": found["msg"],
        "limit": limit,
        "typed": found["input"],
    }


def misused(
    context: Context | None,
    why: FailureReason,
    values: Mapping[str, object],
    *,
    field: str = "",
    near: Sequence[str] = (),
) -> CommandError:
    """`near` is what may have been meant."""
    path = context.command_path if context else myself.name()
    failure = CommandError(why, ExitCode.USAGE, field=field, way=f"{path} --help", near=near)
    failure.values = values
    return failure


def help_of(documented: AnyCommand | Parameter, language: str) -> str:
    """Typer keeps the English of it, and nothing else."""
    return myself.said(Text(documented.help or ""), language)


def show_help(command: AnyCommand, context: Context) -> None:
    """How it is used, what it does, its arguments, options and commands."""
    out, root = console(stderr=False), context.find_root().command
    language = root.language if isinstance(root, Root) else CHINESE
    parameters = command.get_params(context)
    arguments = [each for each in parameters if isinstance(each, TyperArgument)]
    options = [each for each in parameters if isinstance(each, TyperOption)]
    usage = usage_of(command, context, arguments, language)
    out.print(message("usage: {command}").to(language, command=usage), markup=False, style="bold")
    out.print(f"\n{help_of(command, language)}\n", markup=False)
    show_panel(out, message("arguments").to(language), [argument_row(each, language) for each in arguments])
    show_panel(out, message("options").to(language), [option_row(each, language) for each in options])
    if isinstance(command, TyperGroup):
        show_commands(out, command, language)


def show_commands(out: Console, group: TyperGroup, language: str) -> None:
    """In one panel; those of `yunhui` itself in several, with their second columns one below the other."""
    rows = {name: (name, help_of(each, language)) for name, each in group.commands.items()}
    panels = PANELS if isinstance(group, Root) else ((message("commands"), tuple(rows)),)
    for title, names in panels:
        show_panel(out, title.to(language), [rows[name] for name in names], width=max(map(len, rows)))


def usage_of(command: AnyCommand, context: Context, arguments: Iterable[TyperArgument], language: str) -> str:
    words = [context.command_path, message("[OPTIONS]").to(language)]
    for each in arguments:
        placeholder = in_words(placeholder_of(each), language) + ("..." if each.nargs != 1 else "")
        words.append(placeholder if each.required else f"[{placeholder}]")
    if isinstance(command, TyperGroup):
        words.append(message("COMMAND [ARGUMENTS]...").to(language))
    return " ".join(words)


def show_panel(out: Console, title: str, rows: Sequence[tuple[str, ...]], *, width: int = 0) -> None:
    """`width` is the least of the first column, in characters."""
    if not rows:
        return
    table = Table(box=None, show_header=False, padding=(0, 1), pad_edge=False)
    table.add_column(style="bold cyan", no_wrap=True, min_width=width)
    for row in rows:
        table.add_row(*map(Styled, row))
    out.print(Panel(table, title=title, title_align="left", border_style="dim"))


def argument_row(argument: TyperArgument, language: str) -> tuple[str, ...]:
    return in_words(placeholder_of(argument), language), "", explained(argument, language)


def option_row(option: TyperOption, language: str) -> tuple[str, ...]:
    names = " / ".join([*option.opts, *option.secondary_opts])
    return names, in_words(placeholder_of(option), language), explained(option, language)


def explained(parameter: Parameter, language: str) -> str:
    """Its help, its limits, the variable that gives it, its default, and whether it must be given."""
    if "--help" in parameter.opts:
        return message("show this").to(language)
    low, high = parameter.min, parameter.max
    notes = [
        "" if low is None or high is None else f"{low}–{high}",
        "" if low is None or high is not None else f"≥ {low}",
        message("variable: {name}").to(language, name=parameter.envvar) if parameter.envvar else "",
        message("default: {value}").to(language, value=parameter.default) if has_default(parameter) else "",
        message("required").to(language) if parameter.required else "",
    ]
    told = help_of(parameter, language)
    return " ".join([told, *(f"[{note}]" for note in notes if note)]).strip()


def has_default(parameter: Parameter) -> bool:
    """One that is worth saying: a switch that is off, or nothing, goes without."""
    default = parameter.default
    return isinstance(default, str | int | float) and bool(default) and default is not True


class Label(Text):
    """An option or a placeholder in a sentence; an option is called the same in every language."""

    def to(self, language: str, /, **_: object) -> str:
        return in_words(self, language)


def placeholder_of(parameter: Parameter) -> str:
    """In English: what stands for its value; "" for a switch."""
    kind = parameter.type_descriptor.annotation
    if parameter.metavar is not None:
        return str(parameter.metavar)
    if kind is bool:
        return ""
    if parameter.name.endswith("_id"):
        return "ID"
    if kind in KINDS:
        return KINDS[kind]
    return parameter.name.upper() if isinstance(parameter, TyperArgument) or parameter.name == "account" else "TEXT"


def in_words(placeholder: str, language: str) -> str:
    """NOTICE=on|off as 通知=on|off."""
    if language == ENGLISH:
        return placeholder

    def word(found: re.Match[str]) -> str:
        return PLACEHOLDERS[found[0]].to(language) if found[0] in PLACEHOLDERS else found[0]

    return re.sub(r"[A-Z]{2,}", word, placeholder)
