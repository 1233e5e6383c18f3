"""Listening to other FHIR servers: polling, subscriptions, and working off what they tell. Nothing is taken twice."""
