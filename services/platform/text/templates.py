"""Templates that speak one language: `_()` and `ngettext()` say what the catalogue has."""

from typing import Any

from jinja2 import BaseLoader, Environment, StrictUndefined

from services.platform.text.messages import translations


def create_environment(loader: BaseLoader, language: str, **options: Any) -> Environment:
    """Jinja's, which raises UndefinedError for a value that a template misses: nothing is said with holes."""
    made = Environment(  # noqa: S701 - whoever asks says what is escaped: pages and layouts are, plain text is not
        loader=loader,
        extensions=["jinja2.ext.i18n"],
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        **options,
    )
    made.install_gettext_translations(translations(language), newstyle=True)  # type: ignore[attr-defined] # added by i18n
    made.globals["_"] = made.globals["gettext"]  # the extension's own looks that up anew for each sentence
    return made
