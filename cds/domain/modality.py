"""Which DICOM modalities acquire images of a patient."""

from __future__ import annotations

#: PS3.3 section C.7.3.1.1.1: what acquires images; documents, plans and what is derived from images are left out.
ACQUIRED = frozenset(
    {"BDUS", "BI", "BMD", "CR", "CT", "DG", "DMS", "DX", "ES", "GM", "IO", "IVOCT", "IVUS", "LS", "MG", "MR", "NM"}
    | {"OAM", "OCT", "OP", "OPM", "OPT", "PT", "PX", "RF", "RG", "SM", "TG", "US", "XA", "XC"}
)
