"""One published score per file. Pure."""
