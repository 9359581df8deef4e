"""The process: its parts, start and stop, HTTP, the status page."""
