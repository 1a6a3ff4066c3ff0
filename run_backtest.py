"""The command line of Insider Swing: ``python run_backtest.py --help``."""

from __future__ import annotations

import sys

from engine.commands import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
