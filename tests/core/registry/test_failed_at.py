"""The status of a failed plugin names the line of the plugin's code."""

from __future__ import annotations

import warnings
from types import ModuleType

import pytest

import grantway
from grantway._plugins.hook_manager import hook_manager
from grantway.hookspecs import hookspec
from tests.core.registry.distributions import Site, coupon

HEAD = "from grantway import Grant, GrantSchema, Text, TokenError, hookimpl\n"
#: Source -> the line that is at fault, marked with #!
CASES = {
    "import": "import os\nimport no_such_library  #!\n",
    "syntax": "x = 1\ndef f(:  #!\n",
    "library": "import json\njson.loads('{')  #!\n",
    "hook raises": f"{HEAD}def find():\n    raise OSError  #!\n@hookimpl\n"
    "def grantway_register_grants():\n    return [find()]\n",
    "generator raises": f"{HEAD}@hookimpl\ndef grantway_register_grants():\n    yield 1 / 0  #!\n",
    "constructor": f"{HEAD}@hookimpl\ndef grantway_register_grants():\n    return [Grant()]  #!\n",
    "wrong type": f"{HEAD}@hookimpl  #!\ndef grantway_register_grants():\n    return 7\n",
    "invalid grant": f"{HEAD}@hookimpl  #!\ndef grantway_register_grants():\n"
    "    return [Grant(grant_type='', schema=GrantSchema())]\n",
    "error class": f"{HEAD}class Spent(TokenError):\n    def __init__(self, *args, **options):\n"
    "        raise ValueError  #!\n@hookimpl\ndef grantway_register_errors():\n"
    "    return {'spent': Spent}\n",
    "middleware": f"{HEAD}@hookimpl  #!\ndef grantway_register_middleware():\n    return [7]\n",
    "unknown hook": f"{HEAD}@hookimpl  #!\ndef grantway_register_grant():\n    return []\n",
    "unmarked hook": f"{HEAD}def grantway_register_grants():  #!\n    return []\n",
    "unsupported option": f"{HEAD}@hookimpl(tryfirst=True)  #!\n"
    "def grantway_register_grants():\n    return []\n",
    "unknown argument": f"{HEAD}@hookimpl  #!\ndef grantway_register_grants(host):\n"
    "    return []\n",
    "settings": f"{HEAD}@hookimpl  #!\ndef grantway_register_settings():\n    return 7\n",
}


@pytest.mark.parametrize("source", CASES.values(), ids=CASES)
def test_a_failure_has_the_line_of_the_plugin(site: Site, source: str) -> None:
    module = site.install("acme-coupons", source)
    (found,) = [
        each for each in grantway.build_registry().plugins if each.distribution == "acme-coupons"
    ]
    line = next(number for number, text in enumerate(source.split("\n"), 1) if "#!" in text)
    assert found.failed_at == f"{site.folder}/{module}.py:{line}"


def test_a_failure_of_the_programs_plugin_has_a_line_too() -> None:
    class Plugin:
        @grantway.hookimpl
        def grantway_register_grants(self) -> list[grantway.Grant]:
            raise OSError("no configuration")

    (found,) = grantway.build_registry({"x": Plugin()}, entry_points=False).plugins
    line = Plugin.grantway_register_grants.__code__.co_firstlineno + 2
    assert found.failed_at == f"{__file__}:{line}"


def test_a_plugin_that_works_has_no_line(site: Site) -> None:
    site.install("acme-coupons", coupon())
    registry = grantway.build_registry()
    assert {each.failed_at for each in registry.plugins} == {""}


def test_the_status_notes_a_deprecated_hook(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    @hookspec(warn_on_impl=DeprecationWarning("use grantway_register_offers; ends with 1.4"))
    def grantway_register_coupons() -> None:
        """Register coupons."""

    later = ModuleType("later")
    later.__dict__["grantway_register_coupons"] = grantway_register_coupons

    def manager() -> object:
        made = hook_manager()
        made.add_hookspecs(later)
        return made

    monkeypatch.setattr("grantway._plugins.building.hook_manager", manager)
    more = "\n@hookimpl\ndef grantway_register_coupons():\n    return []\n"
    site.install("acme-coupons", coupon() + more)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        registry = grantway.build_registry(strict=True)
    (found,) = [each for each in registry.plugins if each.distribution == "acme-coupons"]
    assert found.state == "loaded"
    assert found.reason == (
        "it implements the deprecated hook grantway_register_coupons: "
        "use grantway_register_offers; ends with 1.4"
    )
    assert [each.category for each in caught] == [DeprecationWarning]
    assert caught[0].filename == f"{site.folder}/acme_coupons.py"
