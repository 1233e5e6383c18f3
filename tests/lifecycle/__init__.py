"""The event table of SAFETY section 3 over the real pipeline, stores, sinks and sockets: one scenario per row."""
