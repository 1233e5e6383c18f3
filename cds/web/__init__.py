"""The web application: FHIR, CDS Hooks, health and metrics over HTTP. Flask lives here and nowhere else."""
