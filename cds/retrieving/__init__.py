"""From an announcement to a complete study: look → fetch (per series) → verify → priors.

`cds/workflow.py` runs the steps durably. Every step may be repeated: what is here already is not fetched again, so that
a worker that died goes on where it stopped. Steps raise Unavailable where they have to wait, and answer small values.
"""
