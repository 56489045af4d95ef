"""Programs that supply secrets, parameters and tokens, or perform a whole grant.

A program is run only if a setting names it. It gets a JSON object on standard input, and prints one
on standard output; ``docs/reference/executables.md`` specifies both::

    from grantway_plugins.executable import Command, executable_client

    client = executable_client(Command(("/usr/local/bin/corp-token",), timeout=10))
    token = client.create_token(grant_type="client_credentials")
"""

from grantway._lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._command import Command as Command
    from ._errors import ExecutableError as ExecutableError
    from ._parameters import executable_parameters as executable_parameters
    from ._token import executable_client as executable_client

if not TYPE_CHECKING:  # type checkers would accept misspelt names
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "._command": "Command",
            "._errors": "ExecutableError",
            "._parameters": "executable_parameters",
            "._token": "executable_client",
        },
    )
