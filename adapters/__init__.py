"""The edges: HL7 v2, DICOM and FHIR. Wire formats in, wire formats out; no clinical judgement."""
