"""Another process of a training, started by the process of the run: `python -m aebnas_bo.training.follower`."""

import os
import sys
import traceback

from aebnas_bo.execution.cpu import keep_kernels_and_memory
from aebnas_bo.training.process_start import follow

if __name__ == "__main__":
    keep_kernels_and_memory()
    try:
        follow()
    except Exception:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)  # an ordinary exit may abort while threads of gloo run, and the abort would hide the error
