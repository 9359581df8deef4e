"""What is known of an object, for people: its state, and what `why` and the status page show. Pure."""
