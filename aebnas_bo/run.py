"""`python -m aebnas_bo.run` is `aebnas-bo run`."""

from aebnas_bo.cli.run_command import main

if __name__ == "__main__":
    main()
