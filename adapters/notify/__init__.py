"""Mail and webhooks: how people are told of critical results and alarms."""
