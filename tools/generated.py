"""Writes anew everything that follows from something else, but for the stubs: `make generated`."""

import runpy

GENERATORS = (
    "tools.derived",
    "tools.layers",
    "tools.permissions",
    "tools.asyncapi",
    "tools.messages",
    "services.booking.states",
    "services.policy.schema",
    "services.policy.handbook",
)
"""Modules that write, when they are run, what they make."""


def main() -> None:
    for each in GENERATORS:
        try:
            runpy.run_module(each, run_name="__main__")
        except SystemExit as end:
            if end.code:
                raise


if __name__ == "__main__":
    main()
