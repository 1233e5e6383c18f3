"""Studies, series and instances in DICOM JSON (PS3.18 annex F), of what the index knows of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from cds.domain.identity import Sex
from cds.domain.imaging import InstanceHeader, Study
from cds.ui.dicomweb import DataSet

_SEX = {Sex.FEMALE: "F", Sex.MALE: "M", Sex.OTHER: "O", Sex.UNKNOWN: ""}
_ROOT = "1.2.840.10008.1.2."
#: PS3.18 table 8.7.3-4 and following: what a frame of a transfer syntax is called.
MEDIA: Mapping[str, str] = {
    f"{_ROOT}{syntax}": f"image/{kind}"
    for kind, syntaxes in {
        "jpeg": ("4.50", "4.51", "4.57", "4.70"),
        "jls": ("4.80", "4.81"),
        "jp2": ("4.90", "4.91"),
        "jphc": ("4.201", "4.202", "4.203"),
        "dicom-rle": ("5",),
    }.items()
    for syntax in syntaxes
}
#: (tag, VR) by the keyword that a query may name; those of series and instances match what `series` and `instance` say.
KEYS: Mapping[str, tuple[str, str]] = {
    "StudyInstanceUID": ("0020000D", "UI"),
    "SeriesInstanceUID": ("0020000E", "UI"),
    "SOPInstanceUID": ("00080018", "UI"),
    "SOPClassUID": ("00080016", "UI"),
    "Modality": ("00080060", "CS"),
    "SeriesNumber": ("00200011", "IS"),
    "InstanceNumber": ("00200013", "IS"),
    "SeriesDescription": ("0008103E", "LO"),
    "BodyPartExamined": ("00180015", "CS"),
    "PatientID": ("00100020", "LO"),
    "AccessionNumber": ("00080050", "SH"),
    "StudyDate": ("00080020", "DA"),
    "ModalitiesInStudy": ("00080061", "CS"),
}
_ONLINE = ("00080056", "CS", "ONLINE")
_UTF_8 = ("00080005", "CS", "ISO_IR 192")

_Told = tuple[str, str, object]


def study(found: Study, series: Sequence[InstanceHeader], instances: int) -> DataSet:
    """PS3.18 table 10.6.3-3: a study with a header of each of its series."""
    first = series[0] if series else None
    known = [
        _UTF_8,
        _ONLINE,
        ("00080020", "DA", _day(found.study_date)),
        ("00080030", "TM", first.study_time if first else ""),
        ("00080050", "SH", found.accession.value if found.accession else ""),
        ("00080061", "CS", sorted({one.modality for one in series if one.modality})),
        ("00080090", "PN", ""),
        ("00081030", "LO", found.description),
        *_patient(found, first),
        ("0020000D", "UI", found.study_instance_uid),
        ("00200010", "SH", ""),
        ("00201206", "IS", len(series)),
        ("00201208", "IS", instances),
    ]
    return _data_set(known)


def series(own: Sequence[InstanceHeader]) -> DataSet:
    """PS3.18 table 10.6.3-4: a series by the headers of its instances."""
    first = own[0]
    known: list[_Told] = [
        _UTF_8,
        ("00080060", "CS", first.modality),
        ("0008103E", "LO", first.series_description),
        ("00180015", "CS", first.body_part),
        ("0020000D", "UI", first.study_instance_uid),
        ("0020000E", "UI", first.series_instance_uid),
        ("00200011", "IS", first.series_number),
        ("00201209", "IS", len(own)),
    ]
    return _data_set(known)


def instance(one: InstanceHeader) -> DataSet:
    """PS3.18 table 10.6.3-5: an instance, as far as the index knows it; WADO-RS metadata has the rest."""
    known: list[_Told] = [
        _UTF_8,
        _ONLINE,
        ("00080016", "UI", one.sop_class_uid),
        ("00080018", "UI", one.sop_instance_uid),
        ("00083002", "UI", one.transfer_syntax_uid),
        ("00080060", "CS", one.modality),
        ("0020000D", "UI", one.study_instance_uid),
        ("0020000E", "UI", one.series_instance_uid),
        ("00200013", "IS", one.instance_number),
        ("00280008", "IS", one.frames if one.frames > 1 else None),
    ]
    return _data_set(known)


def matches(data_set: DataSet, keyword: str, wanted: str) -> bool:
    """Whether a data set has a value; several UIDs may be asked for, * and ? stand for nothing special."""
    tag, vr = KEYS[keyword]
    told = data_set.get(tag)
    values = told.get("Value", []) if isinstance(told, Mapping) else []
    asked = wanted.replace("\\", ",").split(",") if vr == "UI" else [wanted]
    return any(str(value) in asked for value in values)


def with_address(data_set: DataSet, address: str) -> DataSet:
    """The same with Retrieve URL (0008,1190)."""
    return dict(sorted({**data_set, "00081190": {"vr": "UR", "Value": [address]}}.items()))


def _patient(found: Study, first: InstanceHeader | None) -> list[_Told]:
    name = first.patient_name if first else None
    told = f"{name.family}^{name.given}".rstrip("^") if name else ""
    return [
        ("00100010", "PN", {"Alphabetic": told} if told else ""),
        ("00100020", "LO", found.patient.value if found.patient else ""),
        ("00100021", "LO", found.patient.assigner if found.patient else ""),
        ("00100030", "DA", _day(found.patient_birth_date)),
        ("00100040", "CS", _SEX[found.patient_sex]),
    ]


def _day(day: date | None) -> str:
    return f"{day:%Y%m%d}" if day else ""


def _data_set(known: Sequence[_Told]) -> DataSet:
    """Empty values are there without a value: they were asked for and are not known."""
    return {tag: _attribute(vr, value) for tag, vr, value in sorted(known, key=lambda one: one[0])}


def _attribute(vr: str, value: object) -> dict[str, object]:
    if value in ("", None, []):
        return {"vr": vr}
    return {"vr": vr, "Value": value if isinstance(value, list) else [value]}
