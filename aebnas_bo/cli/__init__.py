"""Command line interface."""


def main() -> None:
    """Run the console script; an interrupt before a command starts does not print a traceback either."""
    try:
        from aebnas_bo.cli.app import app
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    app()
