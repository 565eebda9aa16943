"""Commands that write, interrupted: calls that fail, processes that are killed, a power failure; and what else can go
wrong with files and streams. The old output or the new one is there afterwards, whole.

    INTERRUPTIONS=all make interop K=interrupted PYTEST="-s"    every call of every command instead of a sample
"""

import collections
import errno
import itertools
import os
import pathlib
import random
import resource
import signal
import subprocess
import sys
import time

import harness
import interruptions
import pytest
import torch
from disk import Disk, tree_of
from harness import ckpt
from interruptions import FAULTS, Case, scenarios

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="LD_PRELOAD and O_TMPFILE are Linux's")
IS_ALL = os.environ.get("INTERRUPTIONS") == "all"
SCENARIOS = {scenario.name: scenario for scenario in scenarios()}
tried = collections.Counter()


@pytest.fixture(scope="module")
def inputs(shared_folder):
    interruptions.build(shared_folder)
    folder = shared_folder / "inputs"
    folder.mkdir()
    interruptions.make_inputs(folder)
    yield folder
    print("\nstates tried:", dict(tried), "in all", sum(tried.values()))


@pytest.fixture
def case(inputs, folder):
    return lambda name: Case(SCENARIOS[name], inputs, folder / "case")


def numbers(count, limit):
    """Which calls of a kind fail: all, or the first, the last, and some others."""
    every = list(range(1, count + 1))
    if len(every) <= limit:
        return every
    return sorted({1, count, *random.sample(every, max(0, limit - 2))})


def fail_calls(case, kinds, limit, **variables):
    """Runs the command once for each call of these kinds and each way to fail."""
    label = variables.get("always", "")
    for kind in kinds:
        for number in numbers(case.counts.get(kind, 0), limit):
            for what in FAULTS[kind]:
                case.reset()
                done = case.run(interruptions.LIBRARY, at=f"{kind}:{number}:{what}", **variables)
                name = f"{label} {kind} {number} {errno.errorcode.get(what, what)}"
                is_killed = what in ("kill", "after")
                assert not is_killed or done.returncode == -signal.SIGKILL, f"{case.scenario.name}: {name}"
                # Swift ends a program that has no memory.
                is_crash = kind in ("malloc", "mmap") and done.returncode < 0
                case.check_fault(done, name, is_killed, is_crash)
                tried[f"{kind} {errno.errorcode.get(what, what)}"] += 1


CALLS = ["open", "write", "fsync", "fallocate", "link", "rename", "unlink", "mkdir"]
#: These have the calls of all others.
SAMPLE = ["filter", "filter --force", "large --force", "shards", "same shards", "one file for shards", "distributed --force"]


@pytest.mark.parametrize("name", SCENARIOS if IS_ALL else SAMPLE)
def test_a_call_fails(case, name):
    fail_calls(case(name), CALLS, 1000 if IS_ALL else 2)


@pytest.mark.parametrize("name", SCENARIOS if IS_ALL else ["filter --force", "same shards"])
def test_a_call_fails_where_files_need_names(case, name):
    """Without O_TMPFILE, as on FAT, some overlays and old kernels."""
    case = case(name)
    path = case.folder / "counts"
    case.reset()
    case.check_run(case.run(interruptions.LIBRARY, counts=path, always=f"tmpfile:{errno.EOPNOTSUPP}"))
    assert case.check(tree_of(case.work), "no O_TMPFILE", False)
    case.counts = {kind: int(number) for kind, number in (line.split() for line in path.read_text().splitlines())}
    kinds = [kind for kind in CALLS if kind != "unlink"]
    fail_calls(case, kinds, 1000 if IS_ALL else 2, always=f"tmpfile:{errno.EOPNOTSUPP}")


@pytest.mark.parametrize("name", SCENARIOS if IS_ALL else ["filter", "same shards", "shards"])
def test_a_file_system_without_links(case, name):
    """As FAT: an error leaves the old output; only a process that is killed in the middle of a folder does not."""
    case = case(name)
    always = f"tmpfile:{errno.EOPNOTSUPP},link:{errno.EPERM}"
    case.reset()
    case.check_run(case.run(interruptions.LIBRARY, always=always))
    assert case.check(tree_of(case.work), "no links", False)
    for number in range(1, 40):
        case.reset()
        done = case.run(interruptions.LIBRARY, always=always, at=f"rename:{number}:{errno.EIO}")
        if done.returncode == 0:
            break
        case.check_fault(done, f"{always} rename {number}")
        tried["no links, rename EIO"] += 1


@pytest.mark.parametrize("name", SCENARIOS if IS_ALL else ["filter --force", "same shards"])
def test_memory_and_threads_run_out(case, name):
    case = case(name)
    fail_calls(case, ["thread"], 1000)
    fail_calls(case, ["mmap", "malloc"], 150 if IS_ALL else 5)
    case.reset()
    done = case.run(interruptions.LIBRARY, always=f"thread:{errno.EAGAIN}")
    case.check_fault(done, "no threads at all")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", SCENARIOS)
def test_power_failure(case, name):
    """All that may be found on the disk if the power fails at any moment."""
    case = case(name)
    record = case.folder / "record"
    for always in ["", f"tmpfile:{errno.EOPNOTSUPP}"]:
        case.reset()
        disk = Disk(case.work)
        case.check_run(case.run(interruptions.LIBRARY, record=record, always=always))
        found = set()
        for number, _ in enumerate(disk.replay(record)):
            for tree in disk.states(256 if IS_ALL else 24):
                found.add(case.check(tree, f"{always} power fails after change {number}", True))
                tried["power failure"] += 1
        assert number > 3 and found == {False, True}
        # What is reported as written is safe.
        assert all(case.check(tree, f"{always} power fails at the end", True) for tree in disk.states(256))


# What stands around a command: its streams, its limits, its files' names.


def run(*arguments, **options):
    return subprocess.run([harness.CKPT, *map(str, arguments)], timeout=60, **({"capture_output": True} | options))


def shell(line, *arguments, **options):
    """Runs a line of a shell in which "$@" is the command with arguments."""
    return subprocess.run(["sh", "-c", line, "sh", harness.CKPT, *map(str, arguments)], capture_output=True, timeout=60, **options)


def read_only(inputs):
    return [["ls", inputs / "a.pt"], ["ls", inputs / "a.pt", "--json"], ["hash", inputs / "a.pt"], ["help"], ["recipes", "--yaml"],
            ["get", inputs / "a.pt", "--at", "epoch"], ["stats", inputs / "a.pt"], ["--version"], ["diff", inputs / "b.pt", inputs / "b.pt"]]


def test_standard_output_is_closed_or_full(inputs, folder):
    for arguments in [*read_only(inputs), ["filter", inputs / "a.pt", "--exclude", "fc", "-o", folder / "out.pt", "--force"]]:
        for stream in [">&-", "> /dev/full"]:
            done = shell(f'"$@" {stream}', *arguments)
            assert done.returncode == 74, f"{arguments} {stream}: {done.returncode}: {done.stderr}"
            assert done.stderr.startswith(b"ckpt: error: cannot write to standard output") and done.stderr.count(b"\n") == 1
            tried["stdout"] += 1
    assert torch.load(folder / "out.pt")["epoch"] == 1, "what was printed is in the output"


def test_closed_streams_are_not_written_into_files(inputs, folder):
    """A file that is opened first gets the number of a closed stream."""
    before = (inputs / "a.pt").read_bytes()
    for closed in itertools.chain.from_iterable(itertools.combinations(["<&-", ">&-", "2>&-"], count) for count in (1, 2, 3)):
        done = shell(f'"$@" {" ".join(closed)}', "filter", inputs / "a.pt", "--exclude", "fc", "-o", folder / "out.pt", "--force")
        assert done.returncode == (74 if ">&-" in closed else 0), f"{closed}: {done}"
        assert torch.load(folder / "out.pt", weights_only=True)["epoch"] == 1
        assert (inputs / "a.pt").read_bytes() == before and os.listdir(folder) == ["out.pt"]
        tried["closed streams"] += 1


def test_standard_error_is_closed_or_full(inputs, folder):
    wrong = [["ls", folder / "none.pt"], ["ls"], ["ls", inputs / "a.pt", "--at", "x"], ["convert", inputs / "a.pt", "-o", folder / "no/x.pt"]]
    for arguments in wrong:
        wanted = run(*arguments).returncode
        assert wanted in (64, 65, 66, 73)
        for stream in ["2>&-", "2> /dev/full", "2>&1 >&- | true", "2>&- >&-"]:
            line = f'"$@" {stream}' if "|" not in stream else f'{{ "$@"; echo $? > {folder}/status; }} {stream}'
            done = shell(line, *arguments)
            status = int((folder / "status").read_text()) if "|" in stream else done.returncode
            assert status == wanted, f"{arguments} {stream}: {status}"
            tried["stderr"] += 1


def test_a_reader_that_has_read_enough(inputs):
    """`ckpt ls | head` ends like other programs: silently, and not as a success."""
    done = subprocess.run(
        ["bash", "-c", '"$@" | true; echo ${PIPESTATUS[0]}', "bash", harness.CKPT, "ls", str(inputs / "a.pt")], capture_output=True)
    assert done.stdout in (b"141\n", b"0\n") and done.stderr == b""
    with open(os.devnull) as nothing:
        reader, writer = os.pipe()
        os.close(reader)
        done = run("ls", inputs / "a.pt", stdin=nothing, capture_output=False, stdout=writer, stderr=subprocess.PIPE)
        assert done.returncode == -signal.SIGPIPE and done.stderr == b""
        ignoring = lambda: signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        done = run("ls", inputs / "a.pt", capture_output=False, stdout=writer, stderr=subprocess.PIPE, preexec_fn=ignoring, restore_signals=False)
        assert done.returncode == 74
        os.close(writer)


def limited(kind, value):
    return lambda: resource.setrlimit(kind, (value, value))


def test_limit_of_a_files_size(inputs, folder):
    for size in [0, 1, 100, 1000, 4 << 20]:
        out = folder / "out.pt"
        out.write_bytes(b"old")
        done = run("filter", inputs / "big.pt", "--include", "big", "-o", out, "--force", preexec_fn=limited(resource.RLIMIT_FSIZE, size))
        assert done.returncode == 74 and done.stderr.startswith(b"ckpt: error: cannot "), f"{size}: {done}"
        assert out.read_bytes() == b"old" and os.listdir(folder) == ["out.pt"]
        tried["RLIMIT_FSIZE"] += 1


def test_no_descriptors_are_left(inputs, folder):
    """66 for what cannot be opened, 73 for what cannot be created; never another answer."""
    for arguments, usual in [(["ls", inputs / "a.pt"], 0), (["ls", inputs / "shards"], 0),
                             (["convert", inputs / "shards", "-o", folder / "out.pt", "--force"], 0),
                             (["shard", inputs / "a.pt", "--drop-objects", "--max-size", "600", "-o", f"{folder}/out/", "--force"], 0)]:
        wanted = run(*arguments)
        assert wanted.returncode == usual, wanted
        statuses = []
        for limit in range(3, 40):
            done = run(*arguments, preexec_fn=limited(resource.RLIMIT_NOFILE, limit))
            if done.returncode == 127 and b"shared libraries" in done.stderr:
                continue  # The loader of programs has none left.
            statuses.append(done.returncode)
            assert done.returncode in (0, 66, 73), f"{arguments} {limit}: {done}"
            assert done.returncode or done.stdout == wanted.stdout
            tried["RLIMIT_NOFILE"] += 1
        assert 66 in statuses and statuses[-1] == 0, statuses


def test_names_that_are_no_text(inputs, folder):
    """A name that is not UTF-8 is refused and never altered; a folder of such a name works."""
    data = (inputs / "a.pt").read_bytes()
    name = os.fsencode(folder) + b"/\xff\xfe.pt"
    altered = [os.fsencode(folder) + text.encode() for text in ["/\ufffd\ufffd.pt", "/\ufffd.pt"]]
    for path in [name, *altered]:
        pathlib.Path(os.fsdecode(path)).write_bytes(data if path == name else b"another file")
    for arguments in [["ls", name], ["filter", inputs / "a.pt", "-o", name, "--force"], ["filter", name, "-o", folder / "out.pt"]]:
        done = subprocess.run([harness.CKPT, *arguments], capture_output=True)
        assert done.returncode == 64 and b"not UTF-8" in done.stderr, done
    assert open(name, "rb").read() == data and all(open(path, "rb").read() == b"another file" for path in altered)
    home = os.fsencode(folder) + b"/caf\xe9"
    os.mkdir(home)
    subprocess.run([harness.CKPT, "filter", inputs / "a.pt", "-o", "out.pt"], cwd=home, check=True, capture_output=True)
    subprocess.run([harness.CKPT, "set", "out.pt", "--at", "epoch", "--value", "7", "-o", "out.pt", "--force"], cwd=home, check=True, capture_output=True)
    os.symlink(b"out.pt", home + b"/link.pt")
    done = subprocess.run([harness.CKPT, "drop", "out.pt", "--at", "epoch", "-o", "link.pt", "--force"], cwd=home, capture_output=True)
    assert done.returncode == 73 and b"not UTF-8" in done.stderr, done
    assert torch.load(os.fsdecode(home + b"/out.pt"), weights_only=True)["epoch"] == 7
    assert set(os.listdir(home)) == {b"out.pt", b"link.pt"}
    # A folder with another file whose name is no text is read as without it.
    model = folder / "model"
    subprocess.run(["cp", "-r", inputs / "shards", model], check=True)
    pathlib.Path(os.fsdecode(os.fsencode(model) + b"/\xff.safetensors")).write_bytes(b"x")
    assert ckpt("hash", model).split()[0] == ckpt("hash", inputs / "shards").split()[0]


def handles(process, number):
    """Whether a process has a handler of a signal; True if it has ended."""
    lines = pathlib.Path(f"/proc/{process}/status").read_text().splitlines()
    caught = [line.split()[1] for line in lines if line.startswith("SigCgt:")]
    return not caught or bool(int(caught[0], 16) >> (number - 1) & 1) or "State:\tZ (zombie)" in lines


def test_signals_from_the_start(inputs, folder):
    """At whatever moment a signal comes, it is 130 or success, and nothing is left behind."""
    statuses = collections.Counter()
    out = folder / "w" / "out.pt"
    for number in range(60 if IS_ALL else 20):
        (folder / "w").mkdir(exist_ok=True)
        out.write_bytes(b"old")
        process = subprocess.Popen(
            [harness.CKPT, "filter", inputs / "big.pt", "--include", "big", "-o", out, "--force"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        # The loader of programs has no handlers; SIGHUP's is the last that is set.
        while not handles(process.pid, signal.SIGHUP):
            time.sleep(0.0002)
        time.sleep(number / 1000)
        process.send_signal([signal.SIGINT, signal.SIGTERM, signal.SIGHUP][number % 3])
        process.communicate(timeout=60)
        assert process.returncode in (0, 130), process.returncode
        assert os.listdir(out.parent) == ["out.pt"] and (out.read_bytes() == b"old") == (process.returncode != 0)
        statuses[process.returncode] += 1
        tried["signals"] += 1
    assert statuses[130] or statuses[0], statuses


def test_a_signal_that_was_ignored_stays_ignored(inputs, folder):
    """As by `nohup`."""
    ignoring = lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)
    process = subprocess.Popen([harness.CKPT, "stats", inputs / "big.pt"], stdout=subprocess.PIPE, preexec_fn=ignoring)
    for _ in range(50):
        process.send_signal(signal.SIGHUP)
        time.sleep(0.0005)
    process.communicate(timeout=60)
    assert process.returncode == 0


# Files that others change.


@pytest.mark.parametrize("change", ["bytes", "shorter", "longer", "empty"])
def test_an_input_changes_while_it_is_read(inputs, folder, change):
    """A safetensors file has no checksums: only its time tells that it is another file now."""
    work = folder / "w"
    work.mkdir()
    source, out, big = work / "in.safetensors", folder / "out.safetensors", folder / "big.safetensors"
    ckpt("convert", inputs / "big.pt", "--include", "big", "-o", big)
    data = big.read_bytes()
    statuses = collections.Counter()
    for number in range(1, 100):
        out.unlink(missing_ok=True)
        source.write_bytes(data)
        time.sleep(0.02)
        environment = os.environ | {"LD_PRELOAD": str(interruptions.LIBRARY), "FAULT_ROOT": str(work), "FAULT_AT": f"read:{number}:stop"}
        process = subprocess.Popen([harness.CKPT, "convert", source, "-o", out], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            process.returncode = os.waitstatus_to_exitcode(status)
            break
        with open(source, "r+b") as file:
            if change == "bytes":
                file.seek(len(data) // 2)
                file.write(bytes(len(data) - file.tell()))
            elif change == "longer":
                file.seek(0, 2)
                file.write(b"more")
            else:
                file.truncate(0 if change == "empty" else len(data) - 1000)
        process.send_signal(signal.SIGCONT)
        _, error = process.communicate(timeout=60)
        # It had been opened before, so that nothing but an error is right.
        assert process.returncode in (65, 74) and error.startswith(b"ckpt: error: "), f"read {number}: {process.returncode}: {error}"
        assert not out.exists()
        statuses[process.returncode] += 1
        tried["changed inputs"] += 1
    assert number > 3 and statuses[74], statuses


def test_two_writers_of_one_file(inputs, folder):
    """Without --force, one of them fails; with it, one of them is last. The file is whole."""
    out = folder / "out.pt"
    wanted = []
    for name in ["a.pt", "b.pt"]:
        ckpt("convert", inputs / name, "-o", out, "--force")
        wanted.append(out.read_bytes())
    for force in [[], ["--force"]]:
        for _ in range(20):
            out.unlink(missing_ok=True)
            processes = [
                subprocess.Popen([harness.CKPT, "convert", inputs / name, "-o", out, *force], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                for name in ["a.pt", "b.pt"]]
            for process in processes:
                process.communicate(timeout=60)
            statuses = sorted(process.returncode for process in processes)
            assert statuses in ([[0, 0]] if force else [[0, 73]]), statuses
            assert out.read_bytes() in wanted and os.listdir(folder) == ["out.pt"]
            tried["two writers"] += 1


def test_two_writers_of_one_folder(case):
    """One is refused while the other writes; the folder holds one checkpoint, whole."""
    case = case("same shards")
    statuses = collections.Counter()
    others = [[harness.CKPT, "shard", case.inputs / "b.pt", "--max-size", size, "-o", case.work / "out", "--force"] for size in ["600", "1200"]]
    wanted = [case.whole[1]]
    for other in others:
        case.reset()
        subprocess.run(other, check=True, capture_output=True)
        wanted.append(case.meaning(tree_of(case.work)))
    for number in range(40):
        case.reset()
        commands = [case.scenario.command(case.inputs, case.work), *others]
        processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for command in commands]
        for process in processes:
            _, error = process.communicate(timeout=60)
            assert process.returncode in (0, 73), error
            assert process.returncode == 0 or b"another process is writing" in error, error
            statuses[process.returncode] += 1
        tree = tree_of(case.work)
        assert case.meaning(tree) in wanted and not any(".ckpt-" in path for path in tree), sorted(tree)
        tried["two writers"] += 1
    assert statuses[0] >= 40


def test_what_a_replaced_file_passes_on(inputs, folder):
    """Permissions, owner, group, extended attributes; other hard links keep the old contents."""
    out, other = folder / "out.pt", folder / "other.pt"
    for mode in [0o600, 0o640, 0o664, 0o444]:
        out.unlink(missing_ok=True)
        out.write_bytes(b"old")
        other.unlink(missing_ok=True)
        os.link(out, other)
        os.setxattr(out, "user.note", b"mine")
        if os.getuid() == 0:
            os.chown(out, 1234, 4321)
        out.chmod(mode)
        ckpt("convert", inputs / "b.pt", "-o", out, "--force")
        status = out.stat()
        assert status.st_mode & 0o7777 == mode and os.getxattr(out, "user.note") == b"mine"
        assert os.getuid() or (status.st_uid, status.st_gid) == (1234, 4321)
        assert other.read_bytes() == b"old" and out.read_bytes() != b"old"
    # A new file has the mode that the umask leaves, whatever writes it.
    for mask in [0o022, 0o077, 0o002]:
        for always in [None, f"tmpfile:{errno.EOPNOTSUPP}"]:
            (folder / "new.pt").unlink(missing_ok=True)
            environment = os.environ | ({"LD_PRELOAD": str(interruptions.LIBRARY), "FAULT_ROOT": str(folder), "FAULT_ALWAYS": always} if always else {})
            done = shell(f'umask {mask:o}; "$@"', "convert", inputs / "b.pt", "-o", folder / "new.pt", env=environment)
            assert done.returncode == 0 and (folder / "new.pt").stat().st_mode & 0o777 == 0o666 & ~mask
    # The files of a folder, too.
    subprocess.run(["cp", "-r", inputs / "shards", folder / "shards"], check=True)
    for path in (folder / "shards").iterdir():
        path.chmod(0o640)
    ckpt("shard", inputs / "b.pt", "--max-size", "600", "-o", folder / "shards", "--force")
    assert {path.stat().st_mode & 0o777 for path in (folder / "shards").iterdir()} == {0o640}
