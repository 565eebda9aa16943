"""What every test has: the command's path, folders for its files, and a summary that CI reads.

    make interop                            every test
    make interop K="shards or views"        those whose names say so
    make interop K=shards PYTEST="-x -v"    with further options of pytest
"""

import pathlib
import random
import sys
import tempfile

import numpy
import pytest
import torch

ROOT = pathlib.Path(__file__).resolve().parents[2]
# The fixtures' makers know the models and the forms of objects that tests make in other sizes.
sys.path[:0] = [str(ROOT / "fixtures"), str(pathlib.Path(__file__).resolve().parent)]
pytest.register_assert_rewrite("harness")

import generate
import harness


def pytest_addoption(parser):
    parser.addoption("--ckpt", default=ROOT / ".build" / "release" / "ckpt", help="the command that is tested")


def pytest_configure(config):
    path = pathlib.Path(config.getoption("--ckpt")).resolve()
    if not path.is_file():
        raise pytest.UsageError(f"there is no {path}; `make build` makes it")
    harness.CKPT = str(path)
    # Some fixtures hold objects of a module that nobody has; here it exists, so that PyTorch can load them.
    generate.unknown_module()
    generate.Tagged.__module__ = "nobody_knows"
    sys.modules["nobody_knows"].Tagged = generate.Tagged


def pytest_terminal_summary(terminalreporter):
    passed, failed = (len(terminalreporter.stats.get(kind, [])) for kind in ("passed", "failed"))
    errors = len(terminalreporter.stats.get("error", []))
    terminalreporter.write_line(f"checks: {passed + failed + errors} (PyTorch {torch.__version__})")


@pytest.fixture(autouse=True)
def seeded():
    """Each test begins with the same random numbers, whichever ran before it."""
    torch.manual_seed(0)
    random.seed(0)
    numpy.random.seed(0)


@pytest.fixture
def folder(tmp_path):
    """An empty folder of the test's own."""
    return tmp_path


@pytest.fixture(scope="module")
def shared_folder():
    """A folder that the tests of a file have in common, for what takes long to make."""
    with tempfile.TemporaryDirectory() as folder:
        yield pathlib.Path(folder)


@pytest.fixture
def launch(folder):
    """Runs the command and tells its status, its peak memory in kB and its stderr."""
    with harness.launcher(folder) as launch:
        yield launch


@pytest.fixture
def check_bad(folder, launch):
    """Checks that a file is refused; see `harness.assert_refused`."""
    return lambda source, says: harness.assert_refused(launch, source, folder / "bad_out.pt", says)
