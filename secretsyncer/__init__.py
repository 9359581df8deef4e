"""Syncs AWS Secrets Manager into Kubernetes Secrets.

How it flows: watch -> queue -> reconcile (authorize, render, patch) <- cache <- poller.
ARCHITECTURE.md draws it; `app.py` wires it.
"""

__version__ = "1.0.0"
