"""The secrets that exist in AWS: the poller lists them, the catalogue is the last listing, the event queue reports changes."""
