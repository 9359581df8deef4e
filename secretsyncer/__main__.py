"""`python -m secretsyncer` is the command `secretsyncer`."""

import signal
import sys

# First of all: as process 1 of a container, a program without a handler never receives SIGTERM, and the imports below
# take a second. The operator puts its own handler in place of this one.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))

from secretsyncer.cli import main  # noqa: E402

sys.exit(main())
