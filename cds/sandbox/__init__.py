"""An EHR played for tests of CDS Hooks: a chart, its prefetch, and the orders that are written; dict in, dict out."""
