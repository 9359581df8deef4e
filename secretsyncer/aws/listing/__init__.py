"""What there is in AWS: the poller lists it, the catalogue is the last listing, the event queue hears of changes."""
