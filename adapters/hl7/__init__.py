"""HL7 v2: framing, reading, encoding, sending."""
