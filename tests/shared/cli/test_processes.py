"""Starting, watching and stopping the services: what goes wrong is said with the name, the port and the log."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from stepwell_shared.cli import processes
from stepwell_shared.cli.errors import SetupError
from stepwell_shared.cli.processes import Command, ServiceProcesses, free_port, signals_as_interrupts

SERVICE = textwrap.dedent("""
    import http.server, os, signal, sys, time
    class Ready(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/readyz" else 404)
            self.end_headers()
        def log_message(self, *_): pass
    if "deaf" in sys.argv:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        def finish(*_): print("finished in order", flush=True); sys.exit(0)
        signal.signal(signal.SIGTERM, finish)
    print("started with", os.environ.get("STEPWELL_SAMPLE"), flush=True)
    http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Ready).serve_forever()
""")


def service(name: str, *arguments: str, port: int | None = None, ready_path: str = "/readyz") -> Command:
    number = free_port() if port is None else port
    argv = (sys.executable, "-c", SERVICE, str(number), *arguments)
    return Command(name, argv, number, {"STEPWELL_SAMPLE": "a value"}, ready_path)


def test_a_taken_port_is_named_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = service("routing", port=other.getsockname()[1])
        services = ServiceProcesses([service("screening"), taken], tmp_path)
        with pytest.raises(SetupError, match=rf"port {taken.port} \(routing\).*make run"):
            services.start()
        assert not services.log_of("screening").exists()


def test_a_service_that_dies_early_shows_its_last_log_lines(tmp_path: Path) -> None:
    argv = (sys.executable, "-c", "import sys; print('STEPWELL_DATABASE_URL is missing'); sys.exit(3)")
    with (
        ServiceProcesses([Command("referral", argv, free_port())], tmp_path) as services,
        pytest.raises(SetupError, match=r"(?s)referral ended with exit code 3.*STEPWELL_DATABASE_URL is missing"),
    ):
        services.wait_until_ready()


def test_a_service_that_never_gets_ready_is_named(tmp_path: Path) -> None:
    with (
        ServiceProcesses([service("measurement", ready_path="/nowhere")], tmp_path) as services,
        pytest.raises(SetupError, match=r"measurement did not answer /nowhere on port \d+ within 0.5 seconds"),
    ):
        services.wait_until_ready(timeout_seconds=0.5)


def test_starting_a_running_service_again_is_a_mistake(tmp_path: Path) -> None:
    with (
        ServiceProcesses([service("screening")], tmp_path) as services,
        pytest.raises(ValueError, match="already running"),
    ):
        services.start_one("screening")


def test_a_service_that_ends_while_the_others_run_is_reported(tmp_path: Path) -> None:
    with ServiceProcesses([service("screening"), service("routing")], tmp_path) as services:
        services.wait_until_ready()
        os.kill(services.pid_of("routing"), signal.SIGKILL)
        with pytest.raises(SetupError, match="routing ended with signal SIGKILL"):
            services.wait_until_ended()


def test_all_are_ready_with_their_environment_and_finish_in_order(tmp_path: Path) -> None:
    with ServiceProcesses([service("screening"), service("routing")], tmp_path) as services:
        services.wait_until_ready()
        services.refuse_ended()
        pids = [services.pid_of(name) for name in ("screening", "routing")]
    for name in ("screening", "routing"):
        assert services.log_of(name).read_text() == "started with a value\nfinished in order\n"
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_killed_service_starts_again_on_its_port(tmp_path: Path) -> None:
    with ServiceProcesses([service("screening"), service("routing")], tmp_path) as services:
        services.wait_until_ready()
        first = services.pid_of("routing")
        services.kill("routing")
        services.start_one("routing")
        services.wait_until_ready("routing")
        assert services.pid_of("routing") != first
        services.refuse_ended()


def test_a_service_that_ignores_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "STOP_SECONDS", 0.3)
    services = ServiceProcesses([service("screening", "deaf")], tmp_path).start()
    services.wait_until_ready()
    services.stop()
    with pytest.raises(SetupError, match="SIGKILL"):
        services.refuse_ended("screening")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_program_as_ctrl_c_does(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt, match=number.name), signals_as_interrupts():
        signal.raise_signal(number)
    assert signal.getsignal(number) == before


def test_ctrl_c_in_the_terminal_stops_the_services_in_order(tmp_path: Path) -> None:
    """The signal goes to the whole process group, as a terminal sends it; only the parent acts on it."""
    command = service("screening")
    program = textwrap.dedent(f"""
        from pathlib import Path
        from stepwell_shared.cli.processes import Command, ServiceProcesses, signals_as_interrupts
        command = Command("screening", {tuple(command.argv)!r}, {command.port})
        try:
            with signals_as_interrupts(), ServiceProcesses([command], Path({str(tmp_path)!r})) as services:
                services.wait_until_ready()
                print("ready", flush=True)
                services.wait_until_ended()
        except KeyboardInterrupt:
            print("stopped")
    """)
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        os.killpg(parent.pid, signal.SIGINT)
        assert parent.stdout.read() == "stopped\n"
    assert parent.returncode == 0
    assert (tmp_path / "screening.log").read_text().endswith("finished in order\n")


def test_a_service_stops_in_order_when_whoever_started_it_was_killed(tmp_path: Path) -> None:
    attached = f"from stepwell_shared.cli.serving import end_with_input\nend_with_input()\n{SERVICE}"
    command = Command("screening", (sys.executable, "-c", attached, str(port := free_port())), port)
    program = textwrap.dedent(f"""
        from pathlib import Path
        from stepwell_shared.cli.processes import Command, ServiceProcesses
        command = Command("screening", {command.argv!r}, {port})
        with ServiceProcesses([command], Path({str(tmp_path)!r})) as services:
            services.wait_until_ready()
            print("ready", flush=True)
            services.wait_until_ended()
    """)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        parent.kill()
    log = tmp_path / "screening.log"
    deadline = time.monotonic() + 30
    while not log.read_text().endswith("finished in order\n"):
        assert time.monotonic() < deadline, "it lives on by itself"
        time.sleep(0.05)
