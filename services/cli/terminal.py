"""Who sits at the command: language, JSON or tables, the state directory; the same three options on every command."""

import inspect
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from rich.console import Console
from typer._click.core import Context

from services.cli import languages, myself
from services.cli.failures import CommandError, ExitCode
from services.installation.state import State, read_json
from services.platform.text.messages import Text, message

DEFAULT_STATE = ".yunhui"
STATE_VARIABLE = "YUNHUI_STATE"


@dataclass(frozen=True, slots=True)
class Terminal:
    """What every command gets."""

    state: State
    language: str
    json: bool
    out: Console
    err: Console
    language_asked_for: bool = False

    def text(self, text: Text, **values: object) -> str:
        return myself.said(text, self.language, **values)

    def say(self, text: Text, **values: object) -> None:
        """A sentence for people; a program that asked for JSON does not get it."""
        if not self.json:
            self.out.print(self.text(text, **values), markup=False, highlight=False)

    def answer(self, message: Message, show: Callable[["Terminal"], None]) -> None:
        """Proto3 JSON on one line for programs, or what `show` prints for people."""
        if self.json:
            print(MessageToJson(message, indent=None, ensure_ascii=False))
        else:
            show(self)

    def print_json(self, content: dict[str, Any]) -> None:
        """What is no protobuf message, for programs; people get a sentence elsewhere."""
        if self.json:
            print(json.dumps(content, ensure_ascii=False))

    def session(self) -> dict[str, Any]:
        return read_json(self.state.session)


@dataclass(frozen=True, slots=True)
class Speech:
    """`asked_for`: the person chose it, and not the locale or nobody."""

    language: str
    asked_for: bool


def speak(state: State, lang: str | None) -> Speech:
    """--lang, else YUNHUI_LANG, else what was chosen at the sign-in, else the locale, else Chinese."""
    chosen = languages.chosen(lang, str(read_json(state.session).get("language", "")))
    return Speech(chosen or languages.of_locale(), chosen is not None)


def open_terminal(state: str, lang: str | None, *, json: bool) -> Terminal:
    place = State(Path(state).absolute())
    speech = speak(place, lang)
    return Terminal(place, speech.language, json, console(stderr=False), console(stderr=True), speech.asked_for)


def console(*, stderr: bool) -> Console:
    """Rich would fold what goes into a pipe at 80 columns: a pipe has no edge."""
    console = Console(stderr=stderr, highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = 200
    return console


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Gives `function(terminal, ...)` the three options."""

    def run(context: typer.Context, state: str | None, lang: str | None, json: bool, **own: Any) -> None:
        function(_seated(context), **own)

    return _with_options(run, function)


def group(function: Callable[[Terminal], None] | None = None) -> Callable[..., None]:
    """The same for a group of commands; `function` is what the group does when no command is named."""

    def run(context: typer.Context, state: str | None, lang: str | None, json: bool) -> None:
        terminal = _seated(context)
        if function and context.invoked_subcommand is None:
            function(terminal)

    return _with_options(run, lambda _: None)


def _seated(context: typer.Context) -> Terminal:
    """What stands before a subcommand's name holds for it too, unless it says otherwise itself."""
    return open_terminal(
        _given(context, "state") or DEFAULT_STATE, _given(context, "lang"), json=bool(_given(context, "json"))
    )


def _given(context: Context | None, option: str) -> Any:
    """The nearest of this command and the groups above it that was given the option; None if nobody was."""
    while context and not context.params.get(option):
        context = context.parent
    return context.params[option] if context else None


def _with_options(run: Callable[..., None], function: Callable[..., None]) -> Callable[..., None]:
    """Typer reads signatures: `run` gets that of `function`, with the common options in place of the terminal."""
    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in [*own, *_common_options()]]
    context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    run.__signature__ = inspect.Signature([context, *parameters])  # type: ignore[attr-defined] # as inspect documents
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in [context, *parameters]}
    return run


def report(failure: CommandError, language: str, *, as_json: bool) -> None:
    """On stderr: stdout is for answers."""
    err = console(stderr=True)
    if as_json:
        err.print(failure.to_json(language), markup=False, soft_wrap=True)
        return
    err.print(failure.sentence(language), markup=False, style="red", soft_wrap=True)
    if failure.code == ExitCode.USAGE and failure.hint and failure.hint.endswith("--help"):
        err.print(
            message("How to use it: {command}").to(language, command=failure.hint),
            markup=False,
            style="dim",
            soft_wrap=True,
        )


def _common_options() -> list[inspect.Parameter]:
    place = typer.Option(
        "--state", envvar=STATE_VARIABLE, metavar="DIR", help=message("state directory; .yunhui by default")
    )
    lang = typer.Option(
        "--lang",
        metavar="LANG",
        help=message(
            "language: zh-CN or en; if not given, YUNHUI_LANG, else what you chose when you signed "
            "in, else the locale (en for an English one), else zh-CN"
        ),
    )
    as_json = typer.Option("--json", help=message("print JSON, for programs"))
    return [
        _option("state", Annotated[str | None, place], None),
        _option("lang", Annotated[str | None, lang], None),
        _option("json", Annotated[bool, as_json], default=False),
    ]


def _option(name: str, annotation: Any, default: object) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
