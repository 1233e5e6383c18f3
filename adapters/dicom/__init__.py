"""DICOM: receiving, understanding, sending."""
