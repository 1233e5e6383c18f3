"""What a model is chosen by survives the index: views, protocols, kernels, contrast, planes, thickness."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from adapters.dicom.folder import read_headers
from cds.domain.imaging import StoredInstance
from cds.store.studies import StudyStore
from tests.databases import fresh
from tests.peers.dicom_peers import edited, write_series
from tests.unit.test_dicom_projection import write


def test_what_a_series_is_chosen_by_is_known_to_the_index(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "ct", kernel="B30f", slice_thickness_mm=1.5)
    with edited(paths[0]) as first:
        first.ProtocolName, study_uid = "Thorax nativ", str(first.StudyInstanceUID)
    write(tmp_path / "ct" / "x.dcm", ViewPosition="PA", StudyInstanceUID=study_uid)
    with fresh(tmp_path / "data") as databases:
        store = StudyStore(databases.app, assigning_authority="HOSP", accession_issuer="RIS")
        for path, header in read_headers(tmp_path / "ct"):
            assert header is not None
            stored = StoredInstance(header, path.name, header.sop_instance_uid, 1, header.sop_instance_uid)
            store.add(stored, received_at=datetime(2026, 1, 1, tzinfo=UTC), consumed=True, source="test")
        ct, radiograph = sorted(store.series(study_uid, 1), key=lambda one: one.modality)
    assert (ct.protocols, ct.kernels, ct.slice_thickness_mm) == (("Thorax nativ",), ("B30f",), 1.5)
    assert (ct.contrasts, ct.orientations) == (("unknown",), ((1.0, 0.0, 0.0, 0.0, 1.0, 0.0),))
    assert (radiograph.views, radiograph.kernels, radiograph.slice_thickness_mm) == (("PA",), (), None)
