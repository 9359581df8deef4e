"""Syncs AWS Secrets Manager into Kubernetes Secrets.

How it flows: watch -> queue -> reconcile (authorize, render, patch) <- cache <- poller.
ARCHITECTURE.md draws it; `operator/parts.py` builds the parts and connects them.
"""

__version__ = "1.0.0"
