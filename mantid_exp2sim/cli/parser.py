"""The parser of every command: options anywhere, and errors that say what was meant."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from mantid_exp2sim.errors import Exp2SimError, did_you_mean


class UsageError(Exp2SimError):
    """A command line that cannot be read; ``usage`` says how it is written."""

    def __init__(self, summary: str, *, reason: str = "", fix: str, usage: str) -> None:
        super().__init__(summary, reason=reason, fix=fix)
        self.usage = usage


class CommandParser(argparse.ArgumentParser):
    """Read a command whose options stand before, between or behind what it is about.

    >>> parser = CommandParser(prog="exp2sim")
    >>> _ = parser.add_argument("files", nargs="+")
    >>> _ = parser.add_argument("--lattice", type=float, nargs="+")
    >>> parser.parse_args("a.nxs --lattice 4.2 4.2 13.8 b.nxs".split()).files
    ['a.nxs', 'b.nxs']
    """

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Read arguments after the options were put in front of all others; refuse unknown ones."""
        arguments = list(sys.argv[1:] if args is None else args)
        namespace, unknown = super().parse_known_args(self._in_order(arguments), namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return namespace, unknown

    def error(self, message: str) -> NoReturn:
        """Raise `UsageError` with the nearest of what there is."""
        raise UsageError(
            f"{self.prog}: {message}.",
            fix=f"{self._meant(message)}`{self.prog} --help` shows how it is written.",
            usage=self.format_usage(),
        )

    def _in_order(self, arguments: list[str]) -> list[str]:
        commands = self._commands()
        if commands is not None:
            return _command_first(arguments, commands)
        options: list[str] = []
        others: list[str] = []
        while arguments:
            argument = arguments.pop(0)
            if argument == "--":
                return [*options, "--", *others, *arguments]
            action = self._option(argument)
            if action is None and not _is_option(argument):
                others.append(argument)
                continue
            count = 0 if action is None or "=" in argument else _count(action, arguments)
            options += [argument, *arguments[:count]]
            del arguments[:count]
        return [*options, *(["--"] if others else []), *others]

    def _commands(self) -> Sequence[str] | None:
        """The names of the commands below this one, or None where it has none."""
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                return list(action.choices)
        return None

    def _option(self, argument: str) -> argparse.Action | None:
        """The option that an argument is, written in full or as far as it is unique."""
        name = argument.partition("=")[0]
        options = self._option_string_actions
        if name in options or not name.startswith("--"):
            return options.get(name)
        actions = {id(action): action for text, action in options.items() if text.startswith(name)}
        return next(iter(actions.values())) if len(actions) == 1 else None

    def _meant(self, message: str) -> str:
        """What was meant by the word that an error of argparse is about."""
        if "invalid choice: '" in message:
            word, _, choices = message.partition("invalid choice: '")[2].partition("'")
            names = choices.partition("choose from ")[2].rstrip(")").replace("'", "").split(", ")
            return did_you_mean(word, names)
        if "unrecognized arguments: " in message:
            word = message.partition("unrecognized arguments: ")[2].split()[0].partition("=")[0]
            return did_you_mean(word, list(self._option_string_actions))
        return ""


def _is_option(argument: str) -> bool:
    """Whether an argument can be nothing but an option: no number, no axis such as ``-K,2K,0``."""
    return argument.startswith("--") and len(argument) > 2


def _count(action: argparse.Action, arguments: Sequence[str]) -> int:
    """How many of the arguments that follow belong to an option."""
    if action.nargs is None:
        return 1
    if isinstance(action.nargs, int):
        return action.nargs
    most = 1 if action.nargs == "?" else len(arguments)
    for count, argument in enumerate(arguments[:most]):
        if _is_option(argument) or not _fits(action, argument):
            return count
    return min(most, len(arguments))


def _fits(action: argparse.Action, argument: str) -> bool:
    """Whether an option takes this value."""
    if action.choices is not None:
        return argument in action.choices
    try:
        return not callable(action.type) or action.type(argument) is not None
    except (ValueError, TypeError, argparse.ArgumentTypeError):
        return False


def _command_first(arguments: list[str], commands: Sequence[str]) -> list[str]:
    """Put options of a command that stand in front of its name behind it."""
    place = next((place for place, argument in enumerate(arguments) if argument in commands), 0)
    early = arguments[:place]
    if not early or any(
        argument in ("-h", "--help", "--version") or argument[:1] != "-" for argument in early
    ):
        return arguments
    return [arguments[place], *arguments[place + 1 :], *early]
