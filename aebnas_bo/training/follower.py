"""Another process of a training, started by the process of the run: `python -m aebnas_bo.training.follower`."""

from aebnas_bo.execution.cpu import keep_kernels_and_memory
from aebnas_bo.training.process_start import follow

if __name__ == "__main__":
    keep_kernels_and_memory()
    follow()
