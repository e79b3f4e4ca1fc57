"""Versions of the package, of its computations and of its file formats.

Versions of computations are increased by hand when their code changes, so that results of earlier versions are not
reused. Files of another format are rejected.
"""

__version__ = "0.1.0"

SUPERNET_VERSION = 5  # supernet training
ESTIMATION_VERSION = 3  # evaluation of networks: exit tables
FINAL_VERSION = 6  # training of one network by the final recipe
TEACHER_VERSION = 4  # plain networks that are teachers, and their predictions in final training
STUDY_FORMAT = 6  # database of a study
TENSOR_FORMAT = "1"  # tensor files
