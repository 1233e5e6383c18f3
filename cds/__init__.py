"""Sightline: clinical decision support for medical imaging. The core and the web application."""

__version__ = "0.1.0"
