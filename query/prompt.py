"""The SQL prompt on a terminal: lines in, statements out. It knows no history, writes no answer."""

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec
from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import Output

from recorder.errors import XentrailError

HISTORY_BYTES_MAX = 1024 * 1024
"""What was typed is read at every start; of a longer file the newer half is kept."""

HELP = (
    "  SELECT …;        ask; a statement ends with a semicolon, or with an empty line",
    "  .tables          list tables and views",
    "  .schema [TABLE]  say what each of their columns holds",
    "  .refresh         load what was recorded since",
    "  .help            this",
    "  .quit            the end, as Ctrl-D; Ctrl-C ends a question that takes too long",
)
_COMMANDS = (".tables", ".schema", ".refresh", ".help", ".quit")
_ALIASES = {r"\d": ".schema", r"\dt": ".tables", r"\?": ".help", r"\q": ".quit", ".exit": ".quit"}
_KEYWORDS = (
    "ALL AND ANY AS ASC BETWEEN BY CASE CAST COUNT CROSS DESC DESCRIBE DISTINCT ELSE END "
    "EXCEPT EXCLUDE EXISTS EXPLAIN FALSE FILTER FROM FULL GROUP HAVING ILIKE IN INNER "
    "INTERSECT INTERVAL IS JOIN LAST LEFT LIKE LIMIT NOT NULL NULLS OFFSET ON OR ORDER OUTER "
    "OVER PARTITION QUALIFY RECURSIVE RIGHT SELECT SHOW SUMMARIZE TABLES THEN TRUE UNION "
    "USING VALUES WHEN WHERE WINDOW WITH"
)
KEYWORDS = tuple(_KEYWORDS.split())


class Commands(msgspec.Struct, frozen=True):
    """What the prompt can have done. Each may raise XentrailError, or be ended by Ctrl-C."""

    put: Callable[[str], None]
    describe: Callable[[str], None]
    list_tables: Callable[[], None]
    refresh: Callable[[], None]
    say: Callable[[str], None]


def run(
    commands: Commands,
    columns: Mapping[str, Sequence[str]],
    *,
    source: Input | None = None,
    screen: Output | None = None,
) -> None:
    """Ask for statements until Ctrl-D. `columns` are those of each table, offered by the Tab key.

    Errors are said, and it goes on. `source` and `screen` stand for the terminal.
    """
    session: PromptSession[str] = PromptSession(
        "xentrail> ",
        history=_history(history_file(os.environ), commands.say),
        completer=SqlCompleter(columns),
        complete_while_typing=False,
        multiline=True,
        prompt_continuation="      ..> ",
        key_bindings=_bindings(),
        input=source,
        output=screen,
    )
    print("Ask in SQL; .help says what else there is.")
    while True:
        try:
            text = session.prompt().strip()
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        try:
            if not _done(commands, text):
                return
        except KeyboardInterrupt:
            commands.say("interrupted")
        except XentrailError as error:
            commands.say(str(error))


def _done(commands: Commands, text: str) -> bool:
    """Do what was asked for; return False for the end."""
    word, _, rest = text.partition(" ")
    word = _ALIASES.get(word, word)
    if word == ".quit":
        return False
    if word == ".tables" or (word == ".schema" and not rest):
        commands.list_tables()
    elif word == ".schema":
        commands.describe(rest.strip(" ;"))
    elif word == ".refresh":
        commands.refresh()
    elif word == ".help":
        print("\n".join(HELP))
    elif word.startswith((".", "\\")):
        commands.say(f"there is no {word}; .help lists what there is")
    elif text.strip("; \n"):
        commands.put(text)
    return True


def is_complete(text: str) -> bool:
    """True if Enter ends what was typed: a command, or up to a semicolon or an empty line."""
    bare = text.strip()
    if not bare or bare.startswith((".", "\\")) or text.endswith("\n"):
        return True
    return bare.endswith(";") and bare.count("'") % 2 == 0


def _bindings() -> KeyBindings:
    bindings = KeyBindings()

    @bindings.add("enter")
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if is_complete(buffer.text):
            buffer.validate_and_handle()
        else:
            buffer.insert_text("\n")

    return bindings


# -- what was typed before ---------------------------------------------------------------------


def history_file(environ: Mapping[str, str]) -> Path:
    """Return where the statements that were typed are kept."""
    state = environ.get("XDG_STATE_HOME", "")
    folder = Path(state) if Path(state).is_absolute() else Path.home() / ".local" / "state"
    return folder / "xentrail" / "sql_history"


def _history(file: Path, say: Callable[[str], None]) -> History:
    """Open what was typed before, which nobody else may read."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "r+b") as opened:
            os.fchmod(opened.fileno(), 0o600)
            content = opened.read()
            if len(content) > HISTORY_BYTES_MAX:
                cut = content.find(b"\n# ", len(content) - HISTORY_BYTES_MAX // 2)
                opened.seek(0)
                opened.truncate()
                opened.write(content[cut:])
    except OSError as error:
        say(f"what you type is not kept: {file}: {error.strerror}")
        return InMemoryHistory()
    return FileHistory(file)


# -- completion --------------------------------------------------------------------------------

_WORD = re.compile(r"[\w.\\]*$")
_TABLE_COMES = re.compile(
    r"(?:\b(?:from|join|describe|summarize)\s+|\.schema\s+|\\d\s+)$", re.IGNORECASE
)


class SqlCompleter(Completer):
    """Offers tables, their columns, keywords of SQL and the commands of the prompt."""

    def __init__(self, columns: Mapping[str, Sequence[str]]) -> None:
        self._columns = columns

    def get_completions(
        self,
        document: Document,
        complete_event: CompleteEvent,  # noqa: ARG002  # the signature is the library's
    ) -> Iterable[Completion]:
        """Offer what may stand at the cursor, in the case that was begun with."""
        before = document.text_before_cursor
        begun = _WORD.search(before)
        word = "" if begun is None else begun[0]
        words = self._words(before.removesuffix(word), word, document.text)
        for offer in dict.fromkeys(words):
            if offer.lower().startswith(word.lower()) and offer != word:
                yield Completion(offer, start_position=-len(word))

    def _words(self, before: str, word: str, text: str) -> Iterable[str]:
        if not before.strip() and word.startswith("."):
            return _COMMANDS
        if _TABLE_COMES.search(before):
            return self._columns
        qualifier, dot, _ = word.rpartition(".")
        if dot:
            table = self._table_of(qualifier, text)
            return [f"{qualifier}.{column}" for column in self._columns.get(table, ())]
        named = [name for name in self._columns if re.search(rf"\b{name}\b", text, re.IGNORECASE)]
        columns = [column for name in named or self._columns for column in self._columns[name]]
        lower = word != "" and word.islower()
        keywords = [keyword.lower() if lower else keyword for keyword in KEYWORDS]
        return [*sorted(set(columns)), *keywords, *self._columns]

    def _table_of(self, qualifier: str, text: str) -> str:
        """Return the table that a qualifier means: its name, or what FROM calls so."""
        for name in self._columns:
            if re.search(rf"\b{name}\s+(?:as\s+)?{re.escape(qualifier)}\b", text, re.IGNORECASE):
                return name
        return qualifier.lower()
