"""Calls to AWS: clients and credentials per role, one pool of connections, Secrets Manager's operations."""
