"""No file below 1 MB, whatever is in it, makes a command use more than 100 MB or 5 seconds."""

import json
import subprocess
import sys

import pytest

import harness
import hostile

MEGABYTES, SECONDS = 100, 5

# What each command does with FILE; OUT is an output.
COMMANDS = [
    ["ls", "FILE"],
    ["ls", "FILE", "--json"],
    ["show", "FILE", "--depth", "1000"],
    ["stats", "FILE"],
    ["hash", "FILE"],
    ["diff", "FILE", "FILE"],
    ["verify", "FILE"],
    ["scan", "FILE"],
    ["get", "FILE", "--at", "/", "--json"],
    ["filter", "FILE", "-o", "OUT.pt", "--exclude", "is:nothing"],
    ["filter", "FILE", "-o", "OUT.pt", "--exclude", "is:nothing", "--plain"],
    ["convert", "FILE", "-o", "OUT.safetensors", "--drop-objects"],
    ["convert", "FILE", "-o", "OUT.pt", "--to-dtype", "float16"],
    ["compact", "FILE", "-o", "OUT.pt"],
    ["check", "FILE", "--against", "FILE"],
]

# As harness.LAUNCHER, and the processor's time.
LAUNCHER = """
import json, os, resource, sys
for line in sys.stdin:
    arguments = json.loads(line)
    child = os.fork()
    if child == 0:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
        resource.setrlimit(resource.RLIMIT_CPU, (30, 30))
        os.execv(arguments[0], arguments)
    _, status, usage = os.wait4(child, 0)
    time = usage.ru_utime + usage.ru_stime
    print(json.dumps([os.waitstatus_to_exitcode(status), usage.ru_maxrss / 1024, time]), flush=True)
"""


@pytest.fixture(scope="module")
def measure():
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", LAUNCHER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def run(arguments):
        process.stdin.write(json.dumps([harness.CKPT, *arguments]) + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    yield run
    process.stdin.close()
    process.wait()


@pytest.mark.parametrize("name", hostile.MAKERS)
def test_small_file_takes_little(name, folder, measure):
    source = folder / "hostile"
    data = hostile.MAKERS[name]()
    assert len(data) < 1_000_000
    source.write_bytes(data)
    wrong = []
    for command in COMMANDS:
        arguments = [part.replace("FILE", str(source)).replace("OUT", str(folder / "out")) for part in command]
        status, memory, seconds = measure([*arguments])
        for out in folder.glob("out*"):
            out.unlink()
        if status not in (0, 1, 65, 66) or memory > MEGABYTES or seconds > SECONDS:
            wrong.append(f"{' '.join(command)}: status {status}, {memory:.0f} MB, {seconds:.1f} s")
    assert not wrong, "\n".join(wrong)
