"""FHIR R4: writing resources, reading what EHRs send."""
