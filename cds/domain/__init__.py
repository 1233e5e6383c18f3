"""What Sightline reasons about: frozen dataclasses from the standard library alone."""
