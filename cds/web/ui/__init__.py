"""The pages of the role `ui`: worklist, study, follow-ups, quality, operations, sign-in."""
