"""What every test uses: running `ckpt`."""

import contextlib
import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "fixtures"
CKPT = None  # the command's path; set by conftest.py


def ckpt(*arguments, status=0, output=False):
    """Runs the command; gives its JSON, or its stderr where it must fail (its stdout, if `output`)."""
    arguments = [str(argument) for argument in arguments]
    done = subprocess.run([CKPT, *arguments], capture_output=True, text=True)
    assert done.returncode == status, f"{arguments}: status {done.returncode}: {done.stderr[:500]}"
    if status:
        return done.stdout if output else done.stderr
    return json.loads(done.stdout) if "--json" in arguments else done.stdout


# Started once, since a process counts the memory of the one that it was forked from.
LAUNCHER = """
import json, os, sys
for line in sys.stdin:
    arguments, error = json.loads(line)
    child = os.fork()
    if child == 0:
        os.dup2(os.open(error, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.execv(arguments[0], arguments)
    _, status, usage = os.wait4(child, 0)
    print(json.dumps([os.waitstatus_to_exitcode(status), usage.ru_maxrss]), flush=True)
"""


@contextlib.contextmanager
def launcher(folder):
    """Gives a function that runs the command and tells its status, its peak memory in kB and its stderr."""
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", LAUNCHER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    error_file = folder / "stderr"

    def launch(*arguments):
        command = [CKPT, *(str(argument) for argument in arguments)]
        process.stdin.write(json.dumps([command, str(error_file)]) + "\n")
        process.stdin.flush()
        status, memory = json.loads(process.stdout.readline())
        return status, memory, error_file.read_text()

    yield launch
    process.stdin.close()
    process.wait()


def assert_refused(launch, source, out, says):
    """Checks that a file is refused: status 65, one line that says something and a hint, no output, no crash, less than
    100 MB of memory."""
    status, memory, error = launch("filter", source, "-o", out)
    lines = error.splitlines()
    assert status == 65, f"status {status}: {error}"
    assert lines and lines[0].startswith("ckpt: error: ") and len(lines) <= 2, error
    assert says in error, error
    assert not out.exists()
    assert memory < 100_000, f"{memory} kB"
