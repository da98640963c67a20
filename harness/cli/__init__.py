"""The command line: one module a group of commands, each with ``register(app)``."""

from __future__ import annotations

import importlib
import pkgutil
import sys

import typer

EXIT_PARTIAL = 1
"""The command ran, and some clips or systems failed."""
EXIT_USAGE = 2
EXIT_ENVIRONMENT = 3
"""The machine lacks what every run needs."""
EXIT_STOPPED = 130

_HELP = """Compare video-to-sound systems.

Example: clapstick quickstart
"""


def build_app() -> typer.Typer:
    """Collect the commands of every module of this package."""
    app = typer.Typer(
        help=_HELP,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"auto_envvar_prefix": "CLAPSTICK", "help_option_names": ["-h", "--help"]},
    )
    for module_info in pkgutil.iter_modules(__path__):
        register = getattr(importlib.import_module(f"{__name__}.{module_info.name}"), "register", None)
        if register is not None:
            register(app)
    return app


def main() -> None:
    """Run the command line; a problem that the user can mend is printed without a trace and ends with 2."""
    try:
        build_app()()
    except SystemExit as ending:
        # typer turns an interrupt into this exit code without a word
        if ending.code == EXIT_STOPPED:
            sys.stderr.write("clapstick: stopped; start the same command again to go on\n")
        raise
    except Exception as error:
        from clapstick.protocols.problems import ClapstickError

        if not isinstance(error, ClapstickError):
            raise
        for problem in error.problems:
            sys.stderr.write(f"clapstick: {problem}\n")
        sys.exit(EXIT_USAGE)
