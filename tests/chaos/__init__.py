"""The randomised fault run: `make chaos`.

A real API server, the stand-in for AWS and the real operator live through faults while users and AWS go on changing
things; a model that knows every change then checks every Secret. `run.py` is the run, `model.py` knows what must be
true, `faults.py` breaks things, `changes.py` is what users and AWS do.
"""
