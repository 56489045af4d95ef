"""Plugins add commands to ``grantway`` through entry points in ``grantway.commands``."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from importlib import metadata
from typing import Any

import pytest

import grantway
from grantway_plugins.cli import command_names as names
from grantway_plugins.cli.plugin_commands import plugin_commands
from tests.core.registry.distributions import Site, coupon
from tests.plugins.cli.home import Home
from tests.unmeasured import environment

COMMAND = """
import click
import grantway

@click.command()
@click.option("--fail", type=click.Choice(["login", "config", "bug"]))
@click.argument("city", type=click.Choice(["Paris", "Prague"]), required=False)
def weather(fail, city):
    \"\"\"Show the weather.\"\"\"
    if fail == "login":
        raise grantway.LoginNeededError("log in first")
    if fail == "config":
        raise grantway.ConfigurationError("no city is configured")
    if fail == "bug":
        raise ZeroDivisionError
    click.echo("rain")
"""


def install(
    site: Site, distribution: str = "acme-weather", *, source: str = COMMAND, name: str = "weather"
) -> str:
    """Install a distribution with one command."""
    module = distribution.replace("-", "_")
    points = f"[grantway.commands]\n{name} = {module}:weather\n"
    return site.install(distribution, source, entry_points=points)


def test_runs_a_command_of_a_plugin(site: Site, home: Home) -> None:
    install(site)
    done = home.run("weather")
    assert (done.returncode, done.stdout, done.stderr) == (0, "rain\n", "")
    assert home.run("weather", "--help").stdout.startswith("Usage: grantway weather [OPTIONS]")


def test_help_lists_the_commands_without_importing_their_plugins(site: Site, home: Home) -> None:
    install(site, source="raise SystemExit('imported')")
    shown = home.run("--help").stdout
    assert "Commands of plugins:\n  weather  From acme-weather." in shown
    assert shown in home.run().stderr + home.run().stdout


def test_help_imports_nothing_slow_with_or_without_commands(site: Site) -> None:
    code = (
        "import sys; sys.argv[1:] = ['--help']; from grantway_plugins.cli import main; main(); "
        "print([m for m in ('click', 'logging', 'typing', 're', 'grantway') if m in sys.modules])"
    )
    for install_one in (lambda: site.install("acme-coupons", coupon()), lambda: install(site)):
        install_one()
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**environment(), "PYTHONPATH": str(site.folder)},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert done.stdout.endswith("[]\n")
    assert "From acme-weather." in done.stdout


@pytest.mark.parametrize(
    ("fail", "status", "message"),
    [("login", 3, "Error: log in first"), ("config", 1, "Error: no city is configured")],
)
def test_errors_are_reported_like_those_of_own_commands(
    site: Site, home: Home, fail: str, status: int, message: str
) -> None:
    install(site)
    done = home.run("weather", "--fail", fail)
    assert (done.returncode, done.stdout, done.stderr) == (status, "", f"{message}\n")
    assert "ZeroDivisionError" in home.run("weather", "--fail", "bug").stderr


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import grantway_weather_library", "No module named 'grantway_weather_library'"),
        ("raise SystemExit(4)", "SystemExit: 4"),
        ("weather = None", "is None, not a click.Command"),
        ("def weather(): ...", "not a click.Command; decorate the function with @click.command()"),
        ("x = 1", "has no attribute 'weather'"),
    ],
)
def test_a_command_that_cannot_be_imported_names_its_plugin(
    site: Site, home: Home, source: str, reason: str
) -> None:
    install(site, source=source)
    done = home.run("weather")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(
        "Error: The command weather of acme-weather 1.0 could not be loaded: "
    )
    assert reason in done.stderr
    assert "Traceback" not in done.stderr
    assert reason in home.run("doctor").stdout


def test_own_commands_cannot_be_replaced(site: Site, home: Home) -> None:
    install(site, name="status", source="raise SystemExit('imported')")
    home.write("")
    assert home.run("status").stdout == f"{home.config} has no profiles.\n"
    assert "acme-weather" not in home.run("--help").stdout
    found = home.run("doctor").stdout
    assert "command acme-weather/status" in found
    assert "grantway has a command of this name, and plugins cannot replace it" in found


def test_two_plugins_with_one_name_are_reported(site: Site, home: Home) -> None:
    install(site)
    install(site, "zeta-weather", source=COMMAND.replace("rain", "sun"))
    assert "weather" not in home.run("--help").stdout
    done = home.run("weather")
    assert done.returncode == 1
    assert "zeta-weather 1.0 also has a command named weather" in done.stderr
    assert "set GRANTWAY_PLUGINS=-acme-weather" in done.stderr
    listed = [
        (each["distribution"], each["status"])
        for each in json.loads(home.run("plugins", "--json").stdout)
        if each["kind"] == "command"
    ]
    assert listed == [("acme-weather", "failed"), ("zeta-weather", "failed")]
    assert "zeta-weather/weather: acme-weather 1.0 also has a" in home.run("plugins").stdout


@pytest.mark.parametrize(
    ("choice", "shown"),
    [
        ("none", set()),
        ("all", {"weather", "sun"}),
        ("-acme-weather", {"sun"}),
        ("-weather", {"sun"}),
        ("grantway,weather", {"weather"}),
        ("zeta-weather/sun", {"sun"}),
        ("-nonsense", set()),
    ],
)
def test_the_selection_of_plugins_applies(
    site: Site, home: Home, monkeypatch: pytest.MonkeyPatch, choice: str, shown: set[str]
) -> None:
    install(site)
    install(site, "zeta-weather", name="sun")
    home.env["GRANTWAY_PLUGINS"] = choice
    listed = home.run("--help").stdout
    assert {name for name in ("weather", "sun") if f"  {name} " in listed} == shown
    done = home.run("weather")
    assert done.returncode == (0 if "weather" in shown else 1)
    if choice == "none":
        assert "weather of acme-weather 1.0 was not loaded: not listed in GRANTWAY_P" in done.stderr
    monkeypatch.setenv("GRANTWAY_PLUGINS", choice)
    if choice == "-nonsense":
        with pytest.raises(grantway.RegistryError, match="acme-weather/weather"):
            grantway.build_registry()
    else:
        grantway.build_registry()  # the registry knows the names of commands too


def test_completes_commands_and_their_options(site: Site, home: Home) -> None:
    install(site)
    install(site, "zeta-weather", name="weary", source="raise SystemExit(1)")

    def completed(words: str) -> list[str]:
        variables = {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        home.env.update(variables, _GRANTWAY_COMPLETE="bash_complete")
        done = home.run()
        assert not done.stderr
        return [line.removeprefix("plain,") for line in done.stdout.split()]

    assert completed("grantway wea") == ["weary", "weather"]
    assert completed("grantway weather --f") == ["--fail"]
    assert completed("grantway weather P") == ["Paris", "Prague"]
    assert "--help" in completed("grantway weary --")  # a broken command shows no error


def break_file(site: Site) -> None:
    (site.folder / "acme_weather-1.0.dist-info" / "entry_points.txt").write_text(
        "[grantway.commands]\nnonsense\n"
    )


def add_comment(site: Site) -> None:
    (site.folder / "acme_weather-1.0.dist-info" / "entry_points.txt").write_text(
        "[other]\na = b\n\n[grantway.commands]\n# comment\nweather = acme_weather:weather\n[x]\na=b"
    )


def lengthen(site: Site) -> None:
    file = site.folder / "acme_weather-1.0.dist-info" / "entry_points.txt"
    others = "".join(f"script-{number} = acme_weather:weather\n" for number in range(1_000))
    file.write_text(f"[console_scripts]\n{others}\n{file.read_text()}")


def unreadable(site: Site) -> None:
    (site.folder / "acme_weather-1.0.dist-info" / "entry_points.txt").write_bytes(b"\xff\xfe")


def in_an_egg(site: Site) -> None:
    egg = site.folder / "acme_weather-1.0-py3.egg"
    egg.mkdir()
    (site.folder / "acme_weather-1.0.dist-info").rename(egg / "EGG-INFO")
    (egg / "EGG-INFO" / "METADATA").rename(egg / "EGG-INFO" / "PKG-INFO")
    sys.path.insert(0, str(egg))


def shadow(site: Site) -> None:
    older = site.folder / "acme_weather-1.0.dist-info"
    older.rename(site.folder / "Acme.Weather-0.9.dist-info")


def with_spaces(site: Site) -> None:
    install(site, name="two words")


@pytest.mark.parametrize(
    "change",
    [
        lambda _site: None,
        break_file,
        add_comment,
        lengthen,
        unreadable,
        shadow,
        with_spaces,
        in_an_egg,
    ],
)
def test_the_quick_list_is_the_full_list(site: Site, change: Callable[[Site], None]) -> None:
    install(site)
    install(site, "zeta_Weather", name="sun-shine")
    change(site)
    usable = {each.status.name for each in plugin_commands() if each.status.state == "loaded"}
    assert set(names.command_names()) == usable
    assert "sun-shine" in usable


def test_import_hooks_are_asked_for_distributions(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hook:
        def find_distributions(self, context: Any) -> Iterable[metadata.Distribution]:
            return metadata.MetadataPathFinder.find_distributions(context)

        def find_spec(self, *_args: object) -> None: ...

    install(site)
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Hook()])
    assert names.command_names() == {"weather": "acme-weather"}
