"""`sealoshub completion`: scripts that complete without starting Python.

They are made from the command tree, committed under `completions/`, and a test compares the two.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from enum import Enum, StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

app = typer.Typer(add_completion=False, rich_markup_mode=None)

PROGRAM = "sealoshub"


class Shell(StrEnum):
    """The shells there are scripts for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its spellings, what it takes, and its one-line help."""

    names: tuple[str, ...]
    takes_value: bool
    choices: tuple[str, ...]
    takes_file: bool
    help: str


@dataclass(frozen=True, slots=True)
class Node:
    """One command: the words that lead to it, and what may follow."""

    path: str
    commands: tuple[tuple[str, str], ...]
    options: tuple[Option, ...]
    choices: tuple[str, ...]
    takes_files: bool

    @property
    def words(self) -> str:
        """What may follow, subcommands before options."""
        names = [name for name, _ in self.commands]
        return " ".join([*names, *self.choices, *(n for o in self.options for n in o.names)])


@app.command()
def completion(
    shell: Annotated[Shell, typer.Argument(help="For which shell.")],
) -> None:
    """Print a completion script for bash, zsh or fish.

    It completes without starting the program.

    Example: source <(sealoshub completion bash)

    Example: sealoshub completion fish > ~/.config/fish/completions/sealoshub.fish
    """
    sys.stdout.write(script(shell))


def script(shell: Shell) -> str:
    """Return the completion script for *shell*."""
    from sealoshub.cli.tree import app as tree  # noqa: PLC0415  # the tree names this module

    nodes = list(_walk(typer.main.get_command(tree), PROGRAM))
    return {Shell.BASH: _bash, Shell.ZSH: _zsh, Shell.FISH: _fish}[shell](nodes)


def _walk(command: Any, path: str) -> Iterator[Node]:  # noqa: ANN401  # typer keeps its command class private
    """Yield *command* and everything below it, hidden ones left out."""
    below = {
        name: found for name, found in getattr(command, "commands", {}).items() if not found.hidden
    }
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
    yield Node(
        path,
        tuple((name, _line(found.get_short_help_str(200))) for name, found in below.items()),
        (
            *(_option(parameter) for parameter in options),
            Option(("--help", "-h"), False, (), False, "Show this message and exit."),  # noqa: FBT003  # a row of a table
        ),
        tuple(choice for argument in arguments for choice in _choices(argument)),
        any(_is_file(argument) for argument in arguments),
    )
    for name, found in below.items():
        yield from _walk(found, f"{path} {name}")


def _option(parameter: Any) -> Option:  # noqa: ANN401  # as above
    return Option(
        (*parameter.opts, *parameter.secondary_opts),
        not parameter.is_flag,
        _choices(parameter),
        _is_file(parameter),
        _line(parameter.help or ""),
    )


def _annotation(parameter: Any) -> object:  # noqa: ANN401  # as above
    return getattr(getattr(parameter, "type_descriptor", None), "annotation", None)


def _choices(parameter: Any) -> tuple[str, ...]:  # noqa: ANN401  # as above
    annotation = _annotation(parameter)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return tuple(str(member.value) for member in annotation)
    return ()


def _is_file(parameter: Any) -> bool:  # noqa: ANN401  # as above
    metavar = (parameter.metavar or "").strip("[]. ")
    return _annotation(parameter) is Path or metavar in {"FILE", "DIR", "SOURCE"}


def _line(text: str) -> str:
    return " ".join(text.split())


def _valued(nodes: list[Node]) -> Iterator[tuple[list[str], Option]]:
    """Yield every option that takes a value, with the words that stand before the value."""
    for node in nodes:
        for option in node.options:
            if option.takes_value:
                yield [f"{node.path} {name}" for name in option.names], option


def _quoted(words: list[str]) -> str:
    return "|".join(f'"{word}"' for word in words)


# mapfile: names may have spaces.
_BASH_FILES = 'compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur")'
_HEAD = "# Made by `sealoshub completion {name}`; do not edit.\n"


def _bash(nodes: list[Node]) -> str:
    lines = [
        _HEAD.format(name="bash"),
        "_sealoshub() {",
        "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}",
        f"    local where={PROGRAM} words files= i",
        # Bash makes three words of --option=value.
        "    if [[ $cur == = ]]; then cur=",
        "    elif [[ $prev == = ]]; then prev=${COMP_WORDS[COMP_CWORD - 2]}; fi",
        "    for ((i = 1; i < COMP_CWORD; i++)); do",
        '        case "$where ${COMP_WORDS[i]}" in',
        f"            {_quoted([node.path for node in nodes[1:]])})",
        '                where="$where ${COMP_WORDS[i]}" ;;',
        "        esac",
        "    done",
        '    case "$where $prev" in',
    ]
    for places, option in _valued(nodes):
        if option.choices:
            reply = f'COMPREPLY=($(compgen -W "{" ".join(option.choices)}" -- "$cur"))'
        elif option.takes_file:
            reply = _BASH_FILES
        else:
            reply = "COMPREPLY=()"
        lines += [f"        {_quoted(places)})", f"            {reply}; return ;;"]
    lines += ["    esac", '    case "$where" in']
    for node in nodes:
        files = " files=yes" if node.takes_files else ""
        lines.append(f'        "{node.path}") words="{node.words}"{files} ;;')
    lines += [
        "    esac",
        "    if [[ $files && $cur != -* ]]; then",
        f"        {_BASH_FILES}",
        "    else",
        '        COMPREPLY=($(compgen -W "$words" -- "$cur"))',
        "    fi",
        "}",
        f"complete -F _sealoshub {PROGRAM}",
    ]
    return "\n".join(lines) + "\n"


def _zsh(nodes: list[Node]) -> str:
    # `path` is a special array in zsh, so the words so far are kept in `where`.
    lines = [
        f"#compdef {PROGRAM}",
        _HEAD.format(name="zsh"),
        "_sealoshub() {",
        f"  local where={PROGRAM} i",
        "  local -a commands options",
        "  for ((i = 2; i < CURRENT; i++)); do",
        '    case "$where ${words[i]}" in',
        f"      ({_quoted([node.path for node in nodes[1:]])})",
        '        where="$where ${words[i]}" ;;',
        "    esac",
        "  done",
        '  case "$where ${words[CURRENT-1]}" in',
    ]
    for places, option in _valued(nodes):
        if option.choices:
            reply = f"compadd -- {' '.join(option.choices)}"
        else:
            reply = "_files" if option.takes_file else "_message value"
        lines += [f"    ({_quoted(places)})", f"      {reply}; return ;;"]
    lines += ["  esac", '  case "$where" in']
    for node in nodes:
        commands = [(name, help_) for name, help_ in node.commands]
        commands += [(choice, "") for choice in node.choices]
        options = [(name, option.help) for option in node.options for name in option.names]
        lines += [
            f'    ("{node.path}")',
            f"      commands=({' '.join(map(_zsh_item, commands))})",
            f"      options=({' '.join(map(_zsh_item, options))})",
            f"      {'[[ $PREFIX == -* ]] || _files' if node.takes_files else ':'} ;;",
        ]
    lines += [
        "  esac",
        "  (( $#commands )) && _describe command commands",
        "  [[ $PREFIX == -* ]] && _describe -o option options",
        "  return 0",
        "}",
        # Autoloaded from $fpath the file is the function; sourced, it has to register it.
        'if [[ "$funcstack[1]" == _sealoshub ]]; then _sealoshub "$@"',
        f"else compdef _sealoshub {PROGRAM}; fi",
    ]
    return "\n".join(lines) + "\n"


def _zsh_item(item: tuple[str, str]) -> str:
    name, text = item
    described = name.replace(":", "\\:") + (f":{text}" if text else "")
    return "'" + described.replace("'", "'\\''") + "'"


def _fish(nodes: list[Node]) -> str:
    known = " ".join(f"'{node.path}'" for node in nodes[1:])
    lines = [
        _HEAD.format(name="fish"),
        "function __sealoshub_at",
        f"    set -l where {PROGRAM}",
        "    for word in (commandline -opc)[2..-1]",
        f'        if contains -- "$where $word" {known}',
        '            set where "$where $word"',
        "        end",
        "    end",
        '    test "$where" = "$argv"',
        "end",
        f"complete -c {PROGRAM} -f",
    ]
    for node in nodes:
        start = f"complete -c {PROGRAM} -n '__sealoshub_at {node.path}'"
        lines += [f"{start} -a {name} -d {_fish_text(text)}" for name, text in node.commands]
        if node.choices:
            lines.append(f"{start} -a '{' '.join(node.choices)}'")
        if node.takes_files:
            lines.append(f"{start} -F")
        for option in node.options:
            spellings = [
                f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}"
                for name in option.names
            ]
            value = ""
            if option.choices:
                value = f" -x -a '{' '.join(option.choices)}'"
            elif option.takes_value:
                value = " -r -F" if option.takes_file else " -x"
            lines.append(f"{start} {' '.join(spellings)}{value} -d {_fish_text(option.help)}")
    return "\n".join(lines) + "\n"


def _fish_text(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
