"""`python -m aebnas_bo.cli` is `aebnas-bo`."""

from aebnas_bo.cli import main

if __name__ == "__main__":
    main()
