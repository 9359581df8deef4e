"""The hostile run: `make hostile`.

One operator with the memory of the Deployment serves 200 objects of honest tenants, while hostile tenants, messages
and answers of every known kind work on it. `run.py` is the run, `benign.py` knows how late each Secret of the honest
tenants was, `watch.py` looks at the process, `scene.py` is what a kind gets to work with, and `kinds/` are the kinds.
"""
