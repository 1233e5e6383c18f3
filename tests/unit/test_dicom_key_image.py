"""Key images: which slice is shown, what is drawn and burnt in, and what the picture says of where it comes from."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import SecondaryCaptureImageStorage

from adapters.dicom.key_image import COLOURS, NOTICE, lines, picture, window
from adapters.dicom.key_slice import MOST, KeySlice, Stored, key_slices
from adapters.dicom.one_frame import frame_values
from adapters.dicom.outline import LONGEST, outlines
from adapters.dicom.outline import MOST as MOST_OUTLINES
from adapters.dicom.pool import DecodePool
from cds.codes import SNOMED
from cds.domain.coding import Coding
from cds.domain.finding import Finding, Findings, Presence
from cds.domain.imaging import OwnInstance
from cds.limits import DicomLimits
from tests.peers.dicom_peers import edited, noise
from tests.unit.pacs_reports import NODULE, Images, findings, images, multi_frame, report, sink
from tests.unit.test_dicom_sr import document, instances, texts

LIMIT = 64 * 1024 * 1024
SC = "secondary-capture"


@pytest.fixture
def of(tmp_path: Path) -> Images:
    return images(tmp_path)


def places(of: Images, said: Findings) -> tuple[list[KeySlice], list[str]]:
    return key_slices(said, Stored(lambda series: of.sources(of.study_uid, series), LIMIT), frame_values)


def unnamed(of: Images) -> Findings:
    """The model names no key image: the mask says where."""
    said = findings(of)
    return replace(said, findings=tuple(replace(f, key_sop_instance_uid="") for f in said.findings))


def pictures(of: Images, said: Findings | None = None, **options: Any) -> list[Dataset]:
    named = {"key_images": SC, **options}
    made = instances(sink(of, **named).encode(report(of, **({"outcomes": (said,)} if said else {})), "d1"))
    return [one for one in made if one.SOPClassUID == SecondaryCaptureImageStorage]


class TestTheSlice:
    """Which image is shown."""

    def test_the_image_that_the_model_named_is_shown_with_the_mask_on_it(self, of: Images) -> None:
        [place], notes = places(of, findings(of))
        assert place.image.SOPInstanceUID == of.volume.sop_instance_uids[3]
        assert place.mask is not None
        assert np.array_equal(place.mask, of.mask[3])
        assert notes == []

    def test_else_the_slice_on_which_the_mask_is_largest(self, of: Images) -> None:
        of.mask[:] = 0
        of.mask[1, 2, 2] = of.mask[4, 2:4, 2:4] = 1
        np.save(of.mask_ref.path, of.mask)
        [place], _ = places(of, unnamed(of))
        assert place.image.SOPInstanceUID == of.volume.sop_instance_uids[4]

    def test_its_values_are_those_of_the_volume(self, of: Images) -> None:
        [place], _ = places(of, findings(of))
        assert np.array_equal(place.values, np.load(of.volume.path)[3])

    def test_a_named_image_is_shown_without_a_mask_where_there_is_none(self, of: Images) -> None:
        [place], _ = places(of, findings(of, masks=False))
        assert place.mask is None
        assert place.image.SOPInstanceUID == of.volume.sop_instance_uids[3]

    def test_a_named_image_is_shown_although_its_mask_is_gone(self, of: Images) -> None:
        Path(of.mask_ref.path).unlink()
        [place], _ = places(of, findings(of))
        assert place.mask is None

    def test_neither_named_nor_marked_nor_found_is_no_place(self, of: Images) -> None:
        np.save(of.mask_ref.path, np.zeros_like(of.mask))
        assert places(of, unnamed(of)) == ([], [])
        absent = replace(findings(of), findings=(findings(of).findings[1],))
        assert places(of, absent) == ([], [])
        assert pictures(of, absent) == []

    def test_findings_on_one_image_share_a_picture_and_what_is_present_comes_first(self, of: Images) -> None:
        said = unnamed(of)
        nodule = Finding("nodule", NODULE, Presence.PRESENT)
        both = replace(said, findings=(said.findings[0], nodule))
        [place], _ = places(of, both)
        assert [finding.key for finding in place.findings] == ["nodule", "lung_volume"]

    def test_a_frame_of_a_multi_frame_image_is_shown(self, tmp_path: Path) -> None:
        of = images(tmp_path, hu=noise(6, 9, 7))
        slices = sorted(of.paths, key=lambda path: pydicom.dcmread(path, stop_before_pixels=True).InstanceNumber)
        order = [2, 0, 5, 1, 4, 3]
        of.paths[:] = [multi_frame([slices[i] for i in order], tmp_path / "enhanced.dcm")]
        of.mask[:] = 0
        of.mask[5, 1:3, 1:3] = 1
        np.save(of.mask_ref.path, of.mask)
        [place], _ = places(of, unnamed(of))
        assert (place.frame, place.frames) == (order.index(5), 6)
        assert np.array_equal(place.values, np.load(of.volume.path)[5])
        [shown] = pictures(of, unnamed(of))
        assert shown.SourceImageSequence[0].ReferencedFrameNumber == order.index(5) + 1

    def test_a_handful_at_most(self, of: Images) -> None:
        said = findings(of, masks=False)
        many = tuple(
            replace(said.findings[0], key=f"k{n}", key_sop_instance_uid=uid)
            for n, uid in enumerate(of.volume.sop_instance_uids)
        )
        assert len(many) > MOST
        assert len(pictures(of, replace(said, findings=many))) == MOST


class TestWhatIsMissing:
    """A key image that there cannot be is missing in words."""

    def missing(self, of: Images, said: Findings) -> str:
        assert pictures(of, said) == []
        [note] = [t for t in texts(document(of, report(of, outcomes=(said,)), key_images=SC)) if "No key image" in t]
        return note

    def test_an_image_that_is_gone(self, of: Images) -> None:
        named = findings(of, masks=False)
        lost = replace(named, findings=(replace(named.findings[0], key_sop_instance_uid="1.2.3"),))
        assert self.missing(of, lost) == (
            "No key image of what ct_lung 1.2.0 found goes with this version: its image is not here any more."
        )

    def test_a_mask_that_does_not_fit(self, of: Images) -> None:
        np.save(of.mask_ref.path, of.mask[1:])
        assert "its mask does not fit the images that are here now" in self.missing(of, unnamed(of))

    def test_an_image_in_colour(self, of: Images) -> None:
        for path in of.paths:
            with edited(path) as one:
                one.SamplesPerPixel, one.PlanarConfiguration, one.PhotometricInterpretation = 3, 0, "RGB"
                one.PixelData = one.PixelData * 3
        assert "it is in colour" in self.missing(of, findings(of, masks=False))


class TestThePicture:
    """What is drawn."""

    def test_it_says_that_it_is_ai_what_was_found_and_by_whom(self, of: Images) -> None:
        [place], _ = places(of, findings(of))
        assert lines(place) == [
            "AI - preliminary, not for diagnosis",
            "Lung volume on CT: 4793.2 mL",
            "by ct_lung 1.2.0",
            f"Image {place.image.InstanceNumber}, window lung -600/1500",
        ]

    def test_every_line_of_it_is_in_the_pixels_below_the_image(self, of: Images) -> None:
        [place], _ = places(of, findings(of))
        plain, told = picture(place, []), picture(place, lines(place))
        band = plain.shape[0] - told.shape[0]
        assert band < 0
        assert np.array_equal(plain[:-40, :, :], told[: plain.shape[0] - 40])
        without_last = picture(place, lines(place)[:-1])
        assert without_last.shape[0] < told.shape[0]
        assert (told[-30:, :, :] != 0).any()

    def test_the_outline_of_the_mask_is_drawn_in_colour_and_nothing_else_of_the_image(self, tmp_path: Path) -> None:
        of = images(tmp_path, hu=noise(4, 64, 64), spacing_mm=(2.5, 0.8, 0.8))
        of.mask[:] = 0
        of.mask[2, 20:30, 10:40] = 1
        np.save(of.mask_ref.path, of.mask)
        [place], _ = places(of, unnamed(of))
        whole = picture(place, [])
        coloured = (whole[..., 0] != whole[..., 2])[:512]
        rows, columns = np.nonzero(coloured)
        assert tuple(map(int, (rows.min(), rows.max(), columns.min(), columns.max()))) == (160, 240, 80, 320)
        assert tuple(int(v) for v in whole[160, 200]) == COLOURS[0]
        assert not coloured[170:230, 90:310].any()

    def test_grey_follows_the_window_and_monochrome1_is_turned_round(self, of: Images) -> None:
        [place], _ = places(of, findings(of, masks=False))
        place.image.PixelSpacing = [0.8, 0.8]
        ramp = np.linspace(-1350, 150, 512 * 512, dtype=np.float32).reshape(512, 512)
        grey = picture(replace(place, values=ramp), [])[:512, :, 0]
        assert (grey[0, 0], grey[-1, -1]) == (0, 255)
        assert abs(int(grey[256, 0]) - 127) <= 1
        place.image.PhotometricInterpretation = "MONOCHROME1"
        assert picture(replace(place, values=ramp), [])[0, 0, 0] == 255

    @pytest.mark.parametrize(
        ("site", "name"), [("39607008", "lung"), ("12738006", "brain"), ("272673000", "bone"), ("1", "soft tissue")]
    )
    def test_on_ct_the_window_is_that_of_the_body_site(self, of: Images, site: str, name: str) -> None:
        [place], _ = places(of, findings(of))
        there = replace(place.findings[0], body_site=Coding(SNOMED, site, "there"))
        assert window(replace(place, findings=(there,))).name == name

    def test_elsewhere_it_is_that_of_the_image_or_nearly_all_of_its_values(self, of: Images) -> None:
        [place], _ = places(of, findings(of))
        place.image.Modality, place.image.WindowCenter, place.image.WindowWidth = "DX", [300, 5], [400, 6]
        assert (window(place).center, window(place).width) == (300, 400)
        del place.image.WindowCenter
        low, high = np.percentile(place.values, [1, 99])
        assert window(place).width == pytest.approx(high - low)

    def test_pixels_that_are_not_square_are_drawn_as_large_as_they_are(self, of: Images) -> None:
        [place], _ = places(of, findings(of, masks=False))
        place.image.PixelSpacing = [2.0, 1.0]
        values = np.zeros((100, 200), np.float32)
        shown = picture(replace(place, values=values), [])
        assert shown.shape[1] == 512
        assert 512 <= shown.shape[0] <= 530

    def test_a_text_that_is_too_long_or_holds_controls_stays_in_its_line(self, of: Images) -> None:
        [place], _ = places(of, findings(of))
        once = picture(place, [NOTICE, "x" * 5000])
        assert once.shape == picture(place, [NOTICE, "a\nb\x00c"]).shape


class TestTheInstance:
    """The Secondary Capture as a PACS files it."""

    def test_it_is_a_picture_of_our_own_series_of_the_same_study_and_patient(self, of: Images) -> None:
        [shown] = pictures(of)
        assert (shown.PatientID, shown.StudyInstanceUID, shown.AccessionNumber) == ("P-1", of.study_uid, "ACC-7")
        assert shown.SeriesInstanceUID not in (of.volume.series_instance_uid, document(of).SeriesInstanceUID)
        assert (shown.ConversionType, shown.BurnedInAnnotation, shown.Modality) == ("WSD", "YES", "OT")
        assert list(shown.ImageType) == ["DERIVED", "SECONDARY"]
        assert shown.SeriesDescription == "Sightline AI key images v1 (preliminary)"
        assert shown.pixel_array.shape == (shown.Rows, shown.Columns, 3)
        assert "PixelSpacing" not in shown

    def test_it_names_the_image_that_it_was_made_from(self, of: Images) -> None:
        [source] = pictures(of)[0].SourceImageSequence
        assert source.ReferencedSOPInstanceUID == of.volume.sop_instance_uids[3]
        purpose = source.PurposeOfReferenceCodeSequence[0]
        assert purpose.CodeValue == codes.DCM.SourceImageForImageProcessingOperation.value

    def test_the_report_shows_it_as_a_key_image(self, of: Images) -> None:
        [shown] = pictures(of)
        told = document(of, key_images=SC)
        [container] = [i for i in told.ContentSequence if i.ConceptNameCodeSequence[0].CodeValue == "121180"]
        [item] = container.ContentSequence
        assert item.ValueType == "IMAGE"
        assert item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == shown.SOPInstanceUID
        evidence = {
            one.ReferencedSOPInstanceUID
            for study in told.CurrentRequestedProcedureEvidenceSequence
            for series in study.ReferencedSeriesSequence
            for one in series.ReferencedSOPSequence
        }
        assert shown.SOPInstanceUID in evidence

    def test_the_same_version_is_the_same_bytes_and_another_one_another_series(self, of: Images) -> None:
        one, other = sink(of, key_images=SC), sink(of, key_images=SC)
        one.prepare(report(of))
        assert one.encode(report(of), "d1") == other.encode(report(of), "d1")
        first, second = (instances(other.encode(report(of, version=v), "d1"))[-1] for v in (1, 2))
        assert first.SOPInstanceUID != second.SOPInstanceUID
        assert first.SeriesInstanceUID != second.SeriesInstanceUID

    def test_destinations_with_and_without_key_images_get_reports_of_their_own(self, of: Images) -> None:
        uids = {document(of, key_images=kind).SOPInstanceUID for kind in ("none", SC, "presentation-state")}
        assert len(uids) == 3
        assert pictures(of, key_images="none") == []

    def test_a_retraction_rejects_it_too(self, of: Images) -> None:
        one = sink(of, key_images=SC)
        of.own = list(one.made(one.encode(report(of), "d1")))
        assert [own.kind for own in of.own] == ["sr", "seg", "sc"]
        assert OwnInstance(pictures(of)[0].SOPInstanceUID, pictures(of)[0].SeriesInstanceUID, "sc") in of.own
        note = instances(one.retract(report(of), "r1", "wrong patient"))[1]
        rejected = {
            image.ReferencedSOPInstanceUID
            for series in note.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
            for image in series.ReferencedSOPSequence
        }
        assert rejected == {own.sop_instance_uid for own in of.own}

    def test_a_payload_names_its_parts_in_the_order_in_which_they_are_sent(self, of: Images) -> None:
        with ZipFile(BytesIO(sink(of, key_images=SC).encode(report(of), "d1"))) as archive:
            assert archive.namelist() == ["1-sr.dcm", "2-seg.dcm", "3-sc.dcm"]
            assert archive.comment == b"d1"


class TestOutlines:
    """Polygons along the edges of pixels."""

    def test_one_pixel_is_a_square_and_a_hole_is_an_outline_of_its_own(self) -> None:
        one = np.zeros((3, 3), bool)
        one[0, 1] = True
        assert outlines(one)[0].tolist() == [[1, 0], [2, 0], [2, 1], [1, 1], [1, 0]]
        ring = np.ones((5, 5), bool)
        ring[2, 2] = False
        assert [len(found) for found in outlines(ring)] == [5, 5]

    def test_the_area_within_is_the_number_of_pixels(self) -> None:
        mask = np.random.default_rng(3).random((7, 9)) > 0.5
        found = outlines(mask)
        assert 1 < len(found) < MOST_OUTLINES
        areas = [float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])) / 2 for x, y in (one.T for one in found)]
        assert sum(areas) == mask.sum()  # those around a hole run the other way and count below zero

    def test_pixels_that_touch_at_a_corner_stay_apart(self) -> None:
        assert len(outlines(np.eye(3, dtype=bool))) == 3

    def test_nothing_has_no_outline_and_much_of_it_is_bounded(self) -> None:
        assert outlines(np.zeros((4, 4), bool)) == []
        comb = np.zeros((3, 20001), bool)
        comb[0] = True
        comb[1, ::2] = True
        found = outlines(comb)
        assert max(map(len, found)) <= LONGEST + 1
        assert all((one[0] == one[-1]).all() for one in found)


def test_a_frame_that_is_decoded_in_a_process_of_its_own_is_the_same(of: Images) -> None:
    with DecodePool(DicomLimits(), processes=1) as pool:
        there = pool.call(frame_values, of.paths[0], 0, LIMIT)
    assert np.array_equal(there, frame_values(of.paths[0], 0, LIMIT))
