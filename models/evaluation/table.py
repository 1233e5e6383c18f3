"""The table of truth: a CSV file with one row for each image or case.

Column `file` names the image below the folder of images. The truth is either one column `finding_labels` (labels apart
by "|", or "No Finding"), or one column for each label (1, 0, or empty where it is not known), or for a model that
measures one column for each output with the measured value. What else stands there may make subgroups.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from cds.errors import InvalidInput
from models.manifest import Manifest, Output

FILE, LABELS, PATIENT, AGE, VIEW = "file", "finding_labels", "patient_id", "age", "view"
#: Columns that make subgroups without being asked for.
GROUPS = ("source_repo", "sex", AGE, VIEW)
_NOTHING = "nofinding"
_YES, _NO, _UNKNOWN = frozenset({"1", "1.0", "true", "yes"}), frozenset({"0", "0.0", "false", "no"}), "-1"
#: Completed years: children, and adults in three parts.
_AGES = ((18, "0-17"), (40, "18-39"), (65, "40-64"), (math.inf, "65+"))
_LINES_TOLD = 8


@dataclass(frozen=True, slots=True)
class Row:
    """One image or case: its line in the table, its truth by output (absent where it is not known), its groups."""

    line: int
    file: str
    patient: str
    truth: Mapping[str, bool] = field(default_factory=dict)
    values: Mapping[str, float] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)
    view: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """The rows that are used, and what had to be said of the others and of the labels."""

    rows: tuple[Row, ...]
    notices: tuple[str, ...]
    by_patient: bool


def read_table(path: Path, manifest: Manifest, by: Sequence[str] = ()) -> Table:
    """Read the truth for a model; raise InvalidInput that says what was wanted where it cannot be used as it is."""
    columns, lines = _lines(path)
    lacking = [name for name in (FILE, *by) if name not in columns]
    if lacking:
        there = ", ".join(columns) or "none"
        raise InvalidInput(
            f"want a column {', '.join(lacking)} in the table of labels, parted by commas; it has: {there}"
        )
    truth = _truth(manifest, columns)
    groups = tuple(dict.fromkeys((*(name for name in GROUPS if name in columns), *by)))
    rows, notices = _unique([_row(line, cells, truth, groups) for line, cells in lines])
    if not rows:
        raise InvalidInput("want at least one row in the table of labels")
    return Table(tuple(rows), (*notices, *truth.notices([cells for _, cells in lines])), PATIENT in columns)


def lines_told(lines: Sequence[int]) -> str:
    """Line numbers for a reader; file names may be patients' and are not told."""
    told = ", ".join(str(line) for line in lines[:_LINES_TOLD])
    return f"line{'s' if len(lines) > 1 else ''} {told}{' ...' if len(lines) > _LINES_TOLD else ''}"


def plain(label: str) -> str:
    """A label without case, blanks and punctuation: Pleural_Thickening is "pleural thickening"."""
    return "".join(letter for letter in label.casefold() if letter.isalnum())


def names_of(output: Output) -> tuple[str, ...]:
    """The labels that count as positive for an output: those of its manifest, else its key."""
    return output.labels or (output.key,)


def measures(manifest: Manifest) -> bool:
    """True for a model whose findings are values and no presence."""
    return manifest.task in ("quantification", "segmentation")


def _lines(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            columns = [name.strip() for name in reader.fieldnames or ()]
            reader.fieldnames = columns
            lines = [(reader.line_num, _cells(cells, reader.line_num)) for cells in reader]
    except OSError as error:
        raise InvalidInput(f"the table of labels cannot be read: {error.strerror}") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise InvalidInput(f"the table of labels is no CSV in UTF-8: {type(error).__name__}") from None
    if len(set(columns)) < len(columns):
        raise InvalidInput("want every column of the table of labels once")
    return columns, lines


def _cells(cells: dict[str, str | None], line: int) -> dict[str, str]:
    if None in cells or None in cells.values():
        raise InvalidInput(f"want as many cells as columns in every row of the table of labels: line {line}")
    return {name: (value or "").strip() for name, value in cells.items()}


def _row(line: int, cells: Mapping[str, str], truth: _Truth, groups: Sequence[str]) -> Row:
    file = cells[FILE]
    parts = PurePosixPath(file).parts
    if not parts or file.startswith("/") or ".." in parts:
        raise InvalidInput(f"want the name of a file below the folder of images in column file: line {line}")
    found = {name: _age_group(cells[name]) if name == AGE else cells[name] for name in groups}
    return Row(
        line,
        file,
        patient=cells.get(PATIENT, "") or f"line {line}",
        truth=truth.of(cells, line),
        values=truth.measured(cells, line),
        groups={name: value for name, value in found.items() if value},
        view=cells.get(VIEW, ""),
    )


def _unique(rows: Sequence[Row]) -> tuple[list[Row], list[str]]:
    """Each file once; two rows of one file that say different things are nobody's truth."""
    first: dict[str, Row] = {}
    repeated: list[int] = []
    for row in rows:
        known = first.setdefault(row.file, row)
        if known is row:
            continue
        if (known.truth, known.values) != (row.truth, row.values):
            raise InvalidInput(f"two rows of one file contradict each other: lines {known.line} and {row.line}")
        repeated.append(row.line)
    notices = [f"{len(repeated)} rows repeat a file and are left out ({lines_told(repeated)})"] if repeated else []
    return list(first.values()), notices


def _age_group(text: str) -> str:
    """Of whole or broken years, or of VR AS ("058Y"); "" where it is none of these."""
    number = text.upper().removesuffix("Y")
    try:
        years = float(number)
    except ValueError:
        return ""
    return next((name for below, name in _AGES if 0 <= years < below), "")


@dataclass(frozen=True, slots=True)
class _Truth:
    """Where the truth of each output stands: in the column of all labels, in label columns, or in measured columns."""

    manifest: Manifest
    listed: bool
    columns: Mapping[str, tuple[str, ...]]

    def of(self, cells: Mapping[str, str], line: int) -> dict[str, bool]:
        if measures(self.manifest):
            return {}
        if self.listed:
            said = _labels(cells[LABELS], line)
            return {o.key: bool(said.intersection(map(plain, names_of(o)))) for o in self.manifest.outputs}
        known = {key: [_flag(cells[name], line) for name in names] for key, names in self.columns.items()}
        return {key: any(flags) for key, flags in known.items() if any(flags) or None not in flags}

    def measured(self, cells: Mapping[str, str], line: int) -> dict[str, float]:
        if not measures(self.manifest):
            return {}
        told = {key: cells[names[0]] for key, names in self.columns.items() if cells[names[0]]}
        return {key: _number(text, line) for key, text in told.items()}

    def notices(self, lines: Sequence[Mapping[str, str]]) -> Iterator[str]:
        if not self.listed:
            without = [o.key for o in self.manifest.outputs if o.key not in self.columns]
            if without:
                yield f"the table has no column for: {', '.join(without)}"
            return
        known = {_NOTHING, *(plain(name) for output in self.manifest.outputs for name in names_of(output))}
        said = Counter(label for cells in lines for label in cells[LABELS].split("|"))
        other = [f"{label} ({count})" for label, count in sorted(said.items()) if plain(label) not in known]
        if other:
            yield f"labels that no output of the model stands for: {', '.join(other)}"
        here = {plain(label) for label in said}
        unused = [o.key for o in self.manifest.outputs if not here.intersection(map(plain, names_of(o)))]
        if unused:
            yield f"outputs whose labels are in no row: {', '.join(unused)}"


def _truth(manifest: Manifest, columns: Sequence[str]) -> _Truth:
    is_value = measures(manifest)
    if LABELS in columns and not is_value:
        return _Truth(manifest, True, {})
    there = {plain(name): name for name in columns}
    found: dict[str, tuple[str, ...]] = {}
    for output in manifest.outputs:
        names = (output.key,) if is_value else (*names_of(output), output.key)
        here = tuple(dict.fromkeys(there[plain(name)] for name in names if plain(name) in there))
        if here:
            found[output.key] = here
    if not found:
        wanted = [name for o in manifest.outputs for name in ((o.key,) if is_value else names_of(o))]
        raise InvalidInput(
            f"want a column {'' if is_value else 'finding_labels, or one '}for at least one of: {', '.join(wanted)}"
        )
    return _Truth(manifest, False, found)


def _labels(text: str, line: int) -> set[str]:
    said = {plain(label) for label in text.split("|")}
    if "" in said:
        raise InvalidInput(f"want labels apart by | or No Finding in column {LABELS}: line {line}")
    if _NOTHING in said and len(said) > 1:
        raise InvalidInput(f"No Finding stands beside another label: line {line}")
    return said


def _flag(text: str, line: int) -> bool | None:
    if text in ("", _UNKNOWN, "-1.0"):
        return None
    if text.lower() in _YES | _NO:
        return text.lower() in _YES
    raise InvalidInput(f"want 1, 0, or nothing where it is not known, in a column of a label: line {line}")


def _number(text: str, line: int) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InvalidInput(f"want a number, or nothing where it is not known, in a column of an output: line {line}")
    return value
