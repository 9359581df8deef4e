"""`python -m sandbox`: Kubernetes, AWS and the operator on this machine, until Ctrl-C."""

import sys

from sandbox.demo import sandbox

sys.exit(sandbox())
