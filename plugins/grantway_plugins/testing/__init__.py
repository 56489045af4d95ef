"""pytest fixtures for plugin authors, available wherever grantway is installed.

pytest imports ``_plugin`` in every run, so that module imports libraries only inside its fixtures.
Test tools that need none of grantway's plugins are in ``grantway.testing``.
"""

from grantway._lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._live_issuer import LiveIssuer as LiveIssuer
    from ._workload_issuer import WorkloadIssuer as WorkloadIssuer

if not TYPE_CHECKING:  # type checkers would accept misspelt names
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "._live_issuer": "LiveIssuer",
            "._workload_issuer": "WorkloadIssuer",
        },
    )
