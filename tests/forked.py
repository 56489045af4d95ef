"""Python programs started by forking a process that has already imported grantway.

Starting Python and importing grantway takes up to a second of CPU time, and the tests start
hundreds of programs. `Popen` and `run` accept the same arguments as those of `subprocess`. If a
command runs a module, a script or code with this interpreter, it becomes a fork of a server
process, which is started on demand; the fork becomes a child of this process (Linux only). Other
commands, and commands whose environment changes how Python starts, run as usual. A program whose
memory or speed is measured must be a new process: use `subprocess` for it. So must one that
replaces something before it imports grantway, unless a subclass of `Popen` preloads a module that
replaces it first.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import inspect
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from tests.left_running import adopt_orphans

_PRELOADED = (
    "grantway_plugins.cli.app",
    "grantway_plugins.cli.demo",
    "grantway_plugins.cli.doctor",
    "grantway_plugins.cli.gateway",
    "grantway_plugins.cli.login",
    "grantway_plugins.cli.logout",
    "grantway_plugins.cli.serve",
    "grantway_plugins.cli.status",
    "grantway_plugins.cli.token",
    "grantway_plugins.gateway._running.gateway",
    "grantway_plugins.issuer._http.app",
    "grantway_plugins.issuer._storage.store",
    "grantway_plugins.stores.file._store",
    "grantway.testing",
)
#: Variables that Python and its locale read at start-up.
_START_UP = ("PYTHON", "LANG", "LC_")


class Popen(subprocess.Popen[Any]):
    """A program with the interface of ``subprocess.Popen``, forked if possible."""

    #: Modules that the server imports, in this order.
    preloaded: ClassVar[tuple[str, ...]] = _PRELOADED

    def _execute_child(self, *arguments: Any) -> None:
        """Start the program; called by the constructor of the base class."""
        original = super()._execute_child  # type: ignore[misc]
        given = inspect.signature(original).bind(*arguments).arguments
        command = given["args"]
        environment = os.environ if given["env"] is None else given["env"]
        program = _program(command, environment)
        if program is None or given["preexec_fn"] or given["pass_fds"]:
            original(*arguments)
            return
        pipes = [given["p2cread"], given["c2pwrite"], given["errwrite"]]
        self.pid = _server(self.preloaded).start(
            {
                **program,
                "environment": {os.fspath(name): os.fspath(v) for name, v in environment.items()},
                "cwd": os.fspath(given["cwd"] or os.getcwd()),  # noqa: PTH109 - a plain string
                "session": given["start_new_session"],
            },
            [standard if pipe == -1 else pipe for standard, pipe in enumerate(pipes)],
        )
        self._child_created = True
        names = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        self._close_pipe_fds(*(given[name] for name in names))  # type: ignore[attr-defined]


def run(
    command: Any,
    *,
    input: str | None = None,  # noqa: A002 - as in subprocess.run
    timeout: float | None = None,
    check: bool = False,
    capture_output: bool = False,
    **options: Any,
) -> subprocess.CompletedProcess[Any]:
    """Run a program like ``subprocess.run``, forked if possible."""
    if capture_output:
        options.update(stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if input is not None:
        options["stdin"] = subprocess.PIPE
    with Popen(command, **options) as process:
        try:
            stdout, stderr = process.communicate(input, timeout)
        except BaseException:
            process.kill()
            raise
    done = subprocess.CompletedProcess(command, process.returncode, stdout, stderr)
    if check:
        done.check_returncode()
    return done


def _program(command: Any, environment: Mapping[str, str]) -> dict[str, Any] | None:
    """Return what to run in a fork, or None if only a new process behaves like the command."""
    if isinstance(command, (str, bytes, os.PathLike)) or sys.platform != "linux":
        return None
    interpreter, *words = (os.fspath(each) for each in command)
    if interpreter != sys.executable or _start_up(environment) != _start_up(os.environ):
        return None
    strict = words[:2] == ["-W", "error"]
    if strict:
        del words[:2]
    # pytest rewrites the assertions of modules that are not imported yet.
    if words[:1] in (["-m"], ["-c"]) and words[1] != "pytest":
        kind, what, *arguments = words
    elif words[:1] and words[0].endswith(".py"):
        kind, (what, *arguments) = "script", words
    else:
        return None
    return {"kind": kind, "what": what, "arguments": arguments, "strict": strict}


def _start_up(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in environment.items()
        if name.startswith(_START_UP) and name != "PYTHONPATH"
    }


# --- the server -------------------------------------------------------------------------------


class _Server:
    """The process that forks, and the socket to it."""

    def __init__(self, preloaded: tuple[str, ...]) -> None:
        adopt_orphans()
        self._lock = threading.Lock()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _SCRIPT, str(theirs.fileno()), *preloaded],
                pass_fds=[theirs.fileno()],
                cwd=Path(__file__).parents[1],  # a test may have changed the working directory
            )

    def start(self, program: dict[str, Any], streams: list[int]) -> int:
        """Fork a program with these standard streams, and return its process ID."""
        with self._lock:
            socket.send_fds(self._socket, [json.dumps(program).encode()], streams)
            return int(self._socket.recv(64))

    def stop(self) -> None:
        self._socket.close()
        self._process.wait()


_SCRIPT = """
import sys; from tests.forked import serve
run = serve(int(sys.argv[1]), sys.argv[2:])
run and run()
"""
#: The running servers by the modules that they have imported.
_servers: dict[tuple[str, ...], _Server] = {}
_guard = threading.Lock()


def _server(preloaded: tuple[str, ...]) -> _Server:
    with _guard:
        if preloaded not in _servers:
            _servers[preloaded] = _Server(preloaded)
        return _servers[preloaded]


@contextmanager
def server_stops() -> Iterator[None]:
    """Stop the servers at the end of the block."""
    try:
        yield
    finally:
        while _servers:
            _servers.popitem()[1].stop()


def serve(handle: int, preloaded: Sequence[str]) -> Any:
    """Fork a process for each request. Return its main function there, and None at the end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the tests' process stops the server
    for module in preloaded:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # so that garbage collections in the forks do not copy these objects' pages
    with socket.socket(fileno=handle) as requests:
        while True:
            message, streams, _flags, _address = socket.recv_fds(requests, 1 << 20, 3)
            if not message:
                return None
            reading, writing = os.pipe()
            if os.fork() == 0:
                # A process without a living parent is adopted by the tests' process.
                if (child := os.fork()) != 0:
                    os.write(writing, str(child).encode())
                    os._exit(0)
                os.close(reading)
                os.close(writing)
                requests.close()
                return _prepare(json.loads(message), streams)
            os.wait()
            requests.send(os.read(reading, 64))
            for each in (reading, writing, *streams):
                os.close(each)


def _prepare(program: dict[str, Any], streams: list[int]) -> Any:
    """Make this fork look like a new process, and return its main function."""
    if program["session"]:
        os.setsid()
    os.chdir(program["cwd"])
    os.environ.clear()
    os.environ.update(program["environment"])
    for standard, stream in enumerate(streams):
        os.dup2(stream, standard)
        os.close(stream)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    tempfile.tempdir = None  # TMPDIR may differ
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - as Python does at start-up
    terminal = os.isatty(1)
    sys.stdout = open(1, "w", buffering=1 if terminal else -1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    kind, what = program["kind"], program["what"]
    sys.argv = [what if kind == "script" else kind, *program["arguments"]]
    # Python puts the folder of the program first.
    sys.path[0] = os.path.dirname(what) if kind == "script" else ""  # noqa: PTH120 - as Python does
    if path := program["environment"].get("PYTHONPATH"):
        sys.path[1:1] = path.split(os.pathsep)
    main: Callable[[], object]
    if kind == "-m":
        main = partial(runpy.run_module, what, run_name="__main__", alter_sys=True)
    elif kind == "script":
        main = partial(runpy.run_path, what, run_name="__main__")
    else:
        code = compile(what, "<string>", "exec")
        main = partial(exec, code, sys.modules["__main__"].__dict__)
    if program["strict"]:
        warnings.simplefilter("error")
        return main  # at the end, Python warns about resources that were not closed
    return partial(_run, main)


def _run(main: Callable[[], object]) -> None:
    """Run the program, and exit as Python does but without freeing each object.

    Freeing the objects of the imported modules copies their memory, which takes ten times as long
    as the fork.
    """
    status = 0
    try:
        main()
    except SystemExit as error:
        if error.code is not None and not isinstance(error.code, int):
            raise  # Python prints it
        status = error.code or 0
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        sys.exit(status)  # Python reports it
    os._exit(status)
