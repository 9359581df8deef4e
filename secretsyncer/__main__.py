"""`python -m secretsyncer` is the command `secretsyncer`."""

import sys

from secretsyncer.cli import main

sys.exit(main())
