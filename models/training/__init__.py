"""How the project's own weights were trained; nothing here runs in the clinic."""
