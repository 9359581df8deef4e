"""The status page: the answer and all objects at `/`, one object, and what is listed of AWS.

It shows what `kubectl get syncedsecrets -A`, `why` and the metrics show. It is built from statuses, which never contain a
value. It has no script and loads nothing, so it works on a phone and under a strict content security policy. htpy escapes
every text. Its links are relative, so it works behind a proxy that adds a path.

`site.py` takes snapshots in the loop; what they return makes HTML in a thread. Everything else here is pure.
"""
