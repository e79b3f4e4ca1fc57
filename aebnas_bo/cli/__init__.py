"""The command line."""


def main() -> None:
    """Run the console script; an interrupt before a command begins ends it without a trace too."""
    try:
        from aebnas_bo.cli.app import app
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    app()
