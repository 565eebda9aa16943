"""What every group of checks uses: running `ckpt`, counting what passed."""

import json
import pathlib
import subprocess
import traceback

from compare import Difference

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "fixtures"
CKPT = None  # the command's path; set by run.py
passed, failed = 0, []


def check(name, action):
    """Runs a check; one line if it fails."""
    global passed
    try:
        action()
        passed += 1
    except Exception as error:
        text = str(error) if isinstance(error, (Difference, AssertionError)) else traceback.format_exc()
        failed.append(name)
        print(f"FAILED {name}: {text}", flush=True)


def ckpt(*arguments, status=0, output=False):
    """Runs the command; gives its JSON, or its stderr where it must fail (its stdout, if `output`)."""
    arguments = [str(argument) for argument in arguments]
    done = subprocess.run([CKPT, *arguments], capture_output=True, text=True)
    assert done.returncode == status, f"{arguments}: status {done.returncode}: {done.stderr[:500]}"
    if status:
        return done.stdout if output else done.stderr
    return json.loads(done.stdout) if "--json" in arguments else done.stdout
