"""The Flask application: routes, authentication, errors, health."""
