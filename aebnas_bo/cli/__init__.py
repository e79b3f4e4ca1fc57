"""The command line."""


def main() -> None:
    """Run the console script."""
    from aebnas_bo.cli.app import app

    app()
