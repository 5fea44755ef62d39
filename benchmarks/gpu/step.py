"""What the modules of the steps share: each is run as `python -m benchmarks.gpu.NAME CONTEXT`."""

import logging
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.gpu.context import Context
from benchmarks.gpu.records import Records


def run_step(measure: Callable[[Context, Records], None]) -> None:
    """Call the step with the context that the command line names."""
    logging.basicConfig(level=logging.INFO)
    context = Context.read(Path(sys.argv[1]))
    measure(context, context.records())
