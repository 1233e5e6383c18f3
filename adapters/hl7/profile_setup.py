"""From a sender's settings to its profile: code files are read once, and every mistake is told at once."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path as File

from adapters.hl7.field_path import Path
from adapters.hl7.profile import FieldRule, Profile
from cds.character_sets import CHARACTER_SETS
from cds.destinations import MappedCode, Sender
from cds.errors import ConfigurationError

_COLUMNS = ("local", "system", "code", "display")
_DELIMITERS = frozenset({"MSH-1", "MSH-2"})
_CHARACTER_SET, _PROCESSING = "MSH-18", "MSH-11"
_CONTROL = "ORC-1"
_TESTS = frozenset({"T", "D"})


def compile_profiles(senders: Mapping[str, Sender]) -> dict[str, Profile]:
    """The profiles by the names of their senders; raise ConfigurationError with every mistake of all of them."""
    mistakes: list[str] = []
    found: dict[str, Profile] = {}
    for name, sender in senders.items():
        try:
            found[name] = compile_profile(name, sender)
        except ConfigurationError as error:
            mistakes += error.mistakes
    if mistakes:
        raise ConfigurationError(mistakes)
    return found


def compile_profile(name: str, sender: Sender) -> Profile:
    """The profile of one sender; raise ConfigurationError with every mistake, files with the line."""
    mistakes = [*_wrong_fields(sender), *_wrong_values(sender), *_wrong_codes(sender)]
    codes: dict[str, dict[str, MappedCode]] = {}
    for path, file in sender.code_files.items():
        try:
            codes[path] = dict(_rows(file))
        except ConfigurationError as error:
            mistakes += error.mistakes
    if mistakes:
        raise ConfigurationError([f"CDS_SENDERS: {name}: {mistake}" for mistake in mistakes])
    for path, table in sender.codes.items():
        codes[path] = codes.get(path, {}) | table
    targets = {Path.parse(target): source for target, source in sender.fields.items()}
    return Profile(
        default_charset=sender.character_set,
        charset=next((text[1:] for at, text in targets.items() if at.name == _CHARACTER_SET), ""),
        fields=tuple(_rule(at, source) for at, source in targets.items() if at.name != _CHARACTER_SET),
        values=tuple((Path.parse(path), table) for path, table in sender.values.items()),
        codes=tuple((Path.parse(path), table) for path, table in codes.items()),
    )


def _rule(target: Path, source: str) -> FieldRule:
    fixed = source.startswith("=")
    return FieldRule(target, None, source[1:]) if fixed else FieldRule(target, Path.parse(source))


def _wrong_fields(sender: Sender) -> Iterator[str]:
    for target, source in sender.fields.items():
        name, fixed = Path.parse(target).name, source[1:] if source.startswith("=") else None
        if name in _DELIMITERS or (fixed is None and Path.parse(source).name in _DELIMITERS):
            yield f"fields {target}: MSH-1 and MSH-2 are the delimiters of the message: leave them out"
        if name == _CHARACTER_SET and (fixed or "").strip().upper() not in CHARACTER_SETS:
            yield f"fields {target}: want = and a character set of HL7 table 0211, such as =UNICODE UTF-8"
        if name == _PROCESSING and fixed not in _TESTS:
            yield f"fields {target}: want =T or =D: what a sender marks as test stays test"
        if name == _CONTROL and fixed is not None:
            yield f"fields {target}: want no fixed text, by which a cancel would order: use values for an empty ORC-1"


def _wrong_values(sender: Sender) -> Iterator[str]:
    for path, table in sender.values.items():
        name = Path.parse(path).name
        if name in {*_DELIMITERS, _CHARACTER_SET}:
            yield f"values {path}: delimiters and character set are no values: leave them out"
        if name == _PROCESSING and any(table.get(test, test) not in _TESTS for test in _TESTS):
            yield f"values {path}: what a sender marks as test (T, D) stays test"


def _wrong_codes(sender: Sender) -> Iterator[str]:
    for path in (*sender.codes, *sender.code_files):
        if Path.parse(path).component:
            yield f"codes {path}: want a field without component, such as {Path.parse(path).name}"
    for path, table in sender.codes.items():
        for local, mapped in table.items():
            if not (local.strip() and mapped.system.strip() and mapped.code.strip()):
                yield f"codes {path}: want a local code, and a system and a code that it means"


def _rows(file: File) -> Iterator[tuple[str, MappedCode]]:
    """The rows of a code file (CSV, UTF-8); raise ConfigurationError naming the lines that are wrong."""
    mistakes: list[str] = []
    seen: dict[str, int] = {}
    for line, row in _lines(file, mistakes):
        local, system, code, display = (text.strip() for text in row)
        if not (local and system and code):
            mistakes.append(f"{file} line {line}: want a local code, a system and a code")
        elif local in seen:
            mistakes.append(f"{file} line {line}: the local code has a meaning already, in line {seen[local]}")
        else:
            seen[local] = line
            yield local, MappedCode(system=system, code=code, display=display)
    if mistakes:
        raise ConfigurationError(mistakes)


def _lines(file: File, mistakes: list[str]) -> Iterator[tuple[int, list[str]]]:
    """The lines that have four columns, behind the heading."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            reader = csv.reader(opened, strict=True)
            heading = [column.strip().lower() for column in next(reader, [])]
            if heading != list(_COLUMNS):
                mistakes.append(f"{file} line 1: want the columns {', '.join(_COLUMNS)}, separated by commas")
                return
            for row in filter(any, reader):
                if len(row) == len(_COLUMNS):
                    yield reader.line_num, row
                else:
                    mistakes.append(f"{file} line {reader.line_num}: want {len(_COLUMNS)} columns, found {len(row)}")
    except csv.Error as error:
        mistakes.append(f"{file} line {reader.line_num}: no CSV: {error}")
    except UnicodeDecodeError:
        mistakes.append(f"{file}: want a file in UTF-8")
    except OSError as error:
        mistakes.append(f"{file}: cannot be read: {error.strerror or type(error).__name__}")
