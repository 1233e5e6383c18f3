"""The demo: the EHR, the scanner and the interface engine around one real Sightline."""
