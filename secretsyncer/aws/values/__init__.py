"""The values of secrets: a cache by role and version, filled in batches per role."""
