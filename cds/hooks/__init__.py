"""CDS Hooks as dict in, dict out; no web framework in here."""
