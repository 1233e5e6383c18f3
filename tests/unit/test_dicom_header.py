"""Headers: what identifies an instance, whatever a sender wrote into it."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from adapters.dicom.header import HEADER_TAGS, check_uid, read_header
from adapters.dicom.instance import read_instance
from adapters.dicom.quiet import quiet
from adapters.dicom.scan import parse, scan
from cds.domain.identity import HumanName, Sex
from cds.errors import InvalidInstance, SightlineError
from tests.peers.dicom_peers import element, write_series
from tests.unit.test_dicom_volume import enhanced

EXPLICIT = str(pydicom.uid.ExplicitVRLittleEndian)


def minimal(**elements: object) -> Dataset:
    quiet()
    dataset = Dataset()
    uids = {"SOPInstanceUID": "1.2.3", "SOPClassUID": "1.2.4", "SeriesInstanceUID": "1.2.5", "StudyInstanceUID": "1.2"}
    for keyword, value in (uids | elements).items():
        setattr(dataset, keyword, value)
    return dataset


@pytest.mark.parametrize(
    "uid", ["", ".", "1..2", ".1", "1.", "../../x", "1.2.x", "1.2\n", "1.2\0", "1 2", "1" * 65, "١.٢", "1,2"]
)
def test_a_uid_outside_digits_and_single_dots_is_refused(uid: str) -> None:
    with pytest.raises(InvalidInstance):
        check_uid(uid)


@pytest.mark.parametrize("uid", ["1", "0", "1.0.2", "2.25.329800735698586629295641978511506172918", "1" * 64])
def test_a_proper_uid_has_no_flags(uid: str) -> None:
    assert check_uid(uid) == []


@pytest.mark.parametrize("uid", ["1.02.3", "01.2", "1.2.00"])
def test_a_leading_zero_is_only_flagged(uid: str) -> None:
    assert check_uid(uid) == ["leading zero in UID"]


def test_the_header_of_a_phantom_says_what_was_written(tmp_path: Path) -> None:
    path = write_series(tmp_path)[2]
    header = read_header(read_instance(path, HEADER_TAGS, max_bytes=1 << 20).dataset)
    assert header.patient_name == HumanName("Musterfrau", "Änne")
    assert (header.patient_id, header.issuer_of_patient_id) == ("P-1", "HOSPITAL")
    assert (header.accession_number, header.issuer_of_accession_number) == ("ACC-7", "RIS")
    assert (header.patient_birth_date, header.patient_sex) == (date(1958, 3, 4), Sex.FEMALE)
    assert (header.study_date, header.study_time, header.modality) == (date(2026, 3, 2), "120000", "CT")
    assert (header.instance_number, header.series_number, header.body_part) == (3, 1, "CHEST")
    assert header.image_type == ("ORIGINAL", "PRIMARY", "AXIAL")
    assert header.transfer_syntax_uid == pydicom.uid.ExplicitVRLittleEndian
    assert header.flags == ()


def test_bad_values_become_empty_and_flagged() -> None:
    header = read_header(minimal(PatientBirthDate="19991332", PatientSex="Q", StudyDate="yesterday", Modality="CT"))
    assert (header.patient_birth_date, header.patient_sex, header.study_date) == (None, Sex.UNKNOWN, None)
    assert header.flags == ("unreadable PatientBirthDate", "unreadable PatientSex", "unreadable StudyDate")


def test_flags_never_hold_a_value() -> None:
    header = read_header(minimal(PatientBirthDate="DOE-JANE", InstanceNumber=None))
    assert "DOE" not in " ".join(header.flags)


def test_dates_of_before_dicom_are_read() -> None:
    assert read_header(minimal(StudyDate="1992.05.01")).study_date == date(1992, 5, 1)


def test_an_issuer_without_local_name_is_its_universal_id() -> None:
    issuer = Dataset()
    issuer.UniversalEntityID, issuer.UniversalEntityIDType = "1.2.840.1", "ISO"
    assert read_header(minimal(IssuerOfAccessionNumberSequence=[issuer])).issuer_of_accession_number == "1.2.840.1"


def test_control_characters_do_not_get_past_the_header() -> None:
    header = read_header(minimal(PatientID="1\r2\x1b[31m", StudyDescription="a\nPID|1"))
    assert (header.patient_id, header.study_description) == ("1 2 [31m", "a PID|1")


def test_a_missing_study_uid_is_refused() -> None:
    with pytest.raises(InvalidInstance):
        read_header(minimal(StudyInstanceUID=""))


def test_two_values_in_a_uid_are_refused() -> None:
    with pytest.raises(InvalidInstance):
        read_header(minimal(SOPInstanceUID=["1.2", "1.3"]))


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(sorted(HEADER_TAGS)), st.sampled_from([b"PN", b"LO", b"DA", b"IS", b"CS"]), st.binary())
def test_no_bytes_in_any_element_are_more_than_a_flag_or_a_refusal(tag: int, vr: bytes, value: bytes) -> None:
    uids = {0x00080016: b"1.2", 0x00080018: b"1.2", 0x0020000D: b"1.2", 0x0020000E: b"1.2"}
    encoded = b"".join(element(t, b"UI", v) for t, v in uids.items() if t != tag) + element(tag, vr, value)
    try:
        read_header(parse(encoded, EXPLICIT, scan(encoded, EXPLICIT, HEADER_TAGS)))
    except InvalidInstance:
        assert tag in uids or tag == 0x00080005


EXPECTED = {
    "chrFren.dcm": HumanName("Buc", "Jérôme"),
    "chrGerm.dcm": HumanName("Äneas", "Rüdiger"),
    "chrGreek.dcm": HumanName("Διονυσιος", ""),
    "chrRuss.dcm": HumanName("Люкceмбypг", ""),
    "chrX1.dcm": HumanName("Wang", "XiaoDong"),
}


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_names_are_decoded_by_their_character_set(name: str, reference_dir: Path) -> None:
    path = reference_dir / "reference" / "dicom" / "dicom-pydicom" / name
    dataset = read_instance(path, HEADER_TAGS, max_bytes=1 << 20).dataset
    for keyword in ("SOPInstanceUID", "SOPClassUID", "SeriesInstanceUID", "StudyInstanceUID"):
        setattr(dataset, keyword, dataset.get(keyword) or "1.2")
    assert read_header(dataset).patient_name == EXPECTED[name]


def test_every_tricky_file_has_a_header_or_an_error(reference_dir: Path) -> None:
    read = 0
    for path in sorted((reference_dir / "reference" / "dicom").rglob("*")):
        if not path.is_file():
            continue
        try:
            read_header(read_instance(path, HEADER_TAGS, max_bytes=1 << 24).dataset)
        except SightlineError:
            continue
        read += 1
    assert read > 150


def test_the_place_of_an_image_is_read(tmp_path: Path) -> None:
    (path,) = write_series(tmp_path / "s", origin_mm=(1.5, -2.0, 30.25))[:1]
    header = read_header(read_instance(path, HEADER_TAGS, max_bytes=1 << 20).dataset)
    assert (header.image_position, header.image_orientation) == ((1.5, -2.0, 30.25), (1, 0, 0, 0, 1, 0))
    assert (header.frames, header.acquisition_number, header.flags) == (1, 1, ())


def test_the_place_of_a_multi_frame_image_is_that_of_its_first_frame(tmp_path: Path) -> None:
    path = enhanced(tmp_path)
    first = pydicom.dcmread(path).PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0].ImagePositionPatient
    header = read_header(read_instance(path, HEADER_TAGS, max_bytes=1 << 20).dataset)
    assert (header.image_position, header.image_orientation) == (tuple(map(float, first)), (1, 0, 0, 0, 1, 0))
    assert header.frames == 6


def test_view_and_laterality_are_read() -> None:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "399368009", "SCT", "medio-lateral oblique"
    header = read_header(minimal(ViewCodeSequence=[code], ImageLaterality="L", Laterality="R"))
    assert (header.view_position, header.laterality) == ("MLO", "L")
    code.CodeValue, code.CodeMeaning = "0815", "from behind"
    assert read_header(minimal(ViewCodeSequence=[code])).view_position == "from behind"
    assert read_header(minimal(ViewPosition="PA", ViewCodeSequence=[code])).view_position == "PA"


def test_what_a_series_is_chosen_by_is_read() -> None:
    header = read_header(
        minimal(
            ProtocolName="Thorax nativ", PatientAge="061Y", ConvolutionKernel="B30f", SliceThickness="1.25",
            ContrastBolusAgent="none",
        )
    )  # fmt: skip
    assert (header.protocol_name, header.patient_age, header.kernel) == ("Thorax nativ", "061Y", "B30f")
    assert (header.slice_thickness_mm, header.contrast, header.flags) == (1.25, "no", ())


def test_what_is_not_said_of_a_series_is_unknown() -> None:
    header = read_header(minimal())
    assert (header.protocol_name, header.patient_age, header.kernel) == ("", "", "")
    assert (header.slice_thickness_mm, header.contrast) == (None, "unknown")
    assert read_header(minimal(SliceThickness="0")).slice_thickness_mm is None


def test_a_coded_contrast_agent_is_contrast() -> None:
    assert read_header(minimal(ContrastBolusAgentSequence=[Dataset()])).contrast == "yes"
    assert read_header(minimal(ContrastBolusAgent="Iopamidol")).contrast == "yes"


@pytest.mark.parametrize(
    ("elements", "flag"),
    [
        ({"ImagePositionPatient": ["0", "0"]}, "unreadable ImagePositionPatient"),
        ({"ImageOrientationPatient": ["1", "0", "0", "0", "nan", "0"]}, "unreadable ImageOrientationPatient"),
        ({"NumberOfFrames": "0"}, "unreadable NumberOfFrames"),
        ({"NumberOfFrames": "-3"}, "unreadable NumberOfFrames"),
        ({"PlanePositionSequence": [], "PerFrameFunctionalGroupsSequence": []}, ""),
    ],
)
def test_a_place_that_makes_no_sense_is_flagged(elements: dict[str, object], flag: str) -> None:
    header = read_header(minimal(**elements))
    assert (header.image_position, header.image_orientation, header.frames) == ((), (), 1)
    assert header.flags == ((flag,) if flag else ())
