"""Profiles: named OAuth clients and logins, described in a TOML file.

::

    from grantway_plugins import profiles

    with profiles.load("work") as profile:
        token = profile.token()
"""

from grantway._lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._file import ProfileFile as ProfileFile
    from ._profile import Profile as Profile, load as load

if not TYPE_CHECKING:  # type checkers would accept misspelt names
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "._file": "ProfileFile",
            "._profile": "Profile load",
        },
    )
