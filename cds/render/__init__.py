"""What Sightline knows, as text for people."""
