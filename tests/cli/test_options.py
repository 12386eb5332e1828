"""Options that many commands share."""

import os
import pty
import select
import subprocess
import sys

from gateway_hub.cli.options import read_secret

PATIENCE_SECONDS = 60.0
READ = "from gateway_hub.cli.options import read_secret; print(read_secret('-'))"


def test_a_secret_on_the_command_line_is_taken_as_it_is() -> None:
    assert read_secret("p") == "p"
    assert read_secret(None) is None


def test_a_secret_that_is_typed_is_asked_for_and_not_shown() -> None:
    terminal, its_end = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", READ],
        stdin=its_end,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # else the password is asked for on the terminal of the tests
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        is_asked, _, _ = select.select([process.stderr], [], [], PATIENCE_SECONDS)
        if not is_asked:
            process.kill()
        assert os.read(process.stderr.fileno(), 100) == b"Password: "
        os.write(terminal, b"secret\n")
        assert process.stdout.read() == b"secret\n"
    os.set_blocking(terminal, False)
    try:
        shown = os.read(terminal, 100)
    except BlockingIOError:
        shown = b""
    os.close(terminal)
    os.close(its_end)
    assert b"secret" not in shown
