"""Where the `stepwell` command starts. A service does without what the other commands need: it would hold that for as
long as it runs.
"""

import sys


def main() -> None:
    """Entry point of the `stepwell` command. What a service adds to it is loaded when it is asked for."""
    if sys.argv[1:2] == ["serve"]:
        from stepwell_shared.cli.serving import app  # noqa: PLC0415  see above
    else:
        from stepwell_shared.cli.commands import app  # noqa: PLC0415  the same
        from stepwell_shared.installed import commands_of_services  # noqa: PLC0415  the same

        for add_commands in commands_of_services(sys.argv[1:]):
            add_commands(app)
    app()


if __name__ == "__main__":
    main()
