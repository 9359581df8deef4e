"""Generates what repeats what the code declares: `python -m generate`, or `make docs`.

- `manifests/base/crd.yaml`, `manifests/syncedsecret.schema.json` (for editors) and `docs/reference/fields.md`, from the
  fields in `secretsyncer.synced_secret`.
- `docs/reference/settings.md` and `metrics.md`, from `secretsyncer.settings` and `secretsyncer.metrics`.
- In all other pages, and in the README, the blocks that show a file.

`files` lists them. Tests fail if one is out of date.
"""
