"""Versions: of the package, of what it computes, and of the files it leaves.

The versions of what is computed are raised by hand whenever the code behind it changes, so that no result of an older
program is taken for one of this. Files of another format are refused.
"""

__version__ = "0.1.0"

SUPERNET_VERSION = 5  # training a supernet
ESTIMATION_VERSION = 3  # measuring networks: exit tables
FINAL_VERSION = 4  # training one network by the final recipe

STUDY_FORMAT = 5  # the database of a study
TENSOR_FORMAT = "1"  # files of weights and tables
