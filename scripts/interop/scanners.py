"""Other scanners, each as a function from a path to `safe`, `unknown`, or `dangerous`; and a table of them all.

    python scripts/interop/scanners.py CKPT        prints the table of docs/security.md

A file that a scanner does not look into, or in which it fails, is unknown. Nothing is loaded.
"""

import collections
import contextlib
import datetime
import importlib.metadata
import io
import json
import logging
import pathlib
import subprocess
import sys
import tempfile

RANKS = ["safe", "unknown", "dangerous"]


def quietly(function, *arguments):
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        return function(*arguments)


def picklescan(path):
    from picklescan.scanner import SafetyLevel, scan_directory_path, scan_file_path

    logging.getLogger("picklescan").setLevel(logging.CRITICAL)
    result = quietly(scan_directory_path if path.is_dir() else scan_file_path, str(path))
    levels = {one.safety for one in result.globals}
    if result.issues_count or SafetyLevel.Dangerous in levels:
        return "dangerous"
    unclear = result.scan_err or SafetyLevel.Suspicious in levels or not result.scanned_files
    return "unknown" if unclear else "safe"


def modelscan(path):
    from modelscan.modelscan import ModelScan

    logging.getLogger("modelscan").setLevel(logging.CRITICAL)
    found = quietly(ModelScan().scan, str(path))
    if found["summary"]["total_issues"]:
        return "dangerous"
    scanned = found["summary"]["scanned"]["total_scanned"]
    return "unknown" if found["errors"] or not scanned else "safe"


def fickling_pickle(data):
    from fickling.analysis import Severity, check_safety
    from fickling.fickle import StackedPickle

    worst = "safe"
    for pickled in StackedPickle.load(io.BytesIO(data)):
        severity = check_safety(pickled).severity
        # Below this, it warns of every name outside of the standard library.
        if severity >= Severity.LIKELY_OVERTLY_MALICIOUS:
            return "dangerous"
        if severity > Severity.LIKELY_SAFE:
            worst = "unknown"
    return worst


def fickling(path):
    if path.is_dir():
        return "unknown"
    try:
        if path.read_bytes()[:2] == b"PK":
            from fickling.pytorch import PyTorchModelWrapper

            data = quietly(lambda: PyTorchModelWrapper(path).pickled.dumps())
        else:
            data = path.read_bytes()
        return quietly(fickling_pickle, data)
    except Exception:
        return "unknown"


def verdict(scanner, path):
    """What a scanner says; a scanner that fails does not know."""
    try:
        return SCANNERS[scanner](path)
    except Exception:
        return "unknown"


SCANNERS = {"picklescan": picklescan, "fickling": fickling, "modelscan": modelscan}


def ckpt(command, paths):
    """The verdicts of `ckpt scan`, by path: of a folder, the worst of its files."""
    done = subprocess.run([command, "scan", "--json", *map(str, paths)], capture_output=True, text=True)
    assert done.returncode in (0, 1, 65), done.stderr
    files = json.loads(done.stdout)["files"]
    found = {}
    for path in paths:
        inner = [f["verdict"] for f in files if f["file"] == str(path) or f["file"].startswith(f"{path}/")]
        found[path] = max(inner, key=RANKS.index)
    return found


def table(command):
    import scan_corpus

    with tempfile.TemporaryDirectory() as folder:
        cases = scan_corpus.make(folder)
        paths = [path for path, _, _ in cases]
        verdicts = {"ckpt": ckpt(command, paths)}
        for name in SCANNERS:
            verdicts[name] = {path: verdict(name, path) for path in paths}
        kinds = collections.Counter(kind for _, kind, _ in cases)
        yield "| scanner | " + " | ".join(f"{kind} ({kinds[kind]})" for kind in kinds) + " |"
        yield "| --- |" + " --- |" * len(kinds)
        for name, found in verdicts.items():
            version = "" if name == "ckpt" else " " + importlib.metadata.version(name)
            cells = []
            for kind in kinds:
                count = collections.Counter(found[path] for path, other, _ in cases if other == kind)
                cells.append(" / ".join(str(count[verdict]) for verdict in RANKS))
            yield f"| {name}{version} | " + " | ".join(cells) + " |"
        yield f"\nsafe / unknown / dangerous, {datetime.date.today()}"
        for name, found in verdicts.items():
            missed = [path.name for path, _, acts in cases if acts and found[path] == "safe"]
            alarms = [path.name for path, _, acts in cases if not acts and found[path] == "dangerous"]
            print(name, "missed", missed, "false alarms", alarms, file=sys.stderr)


if __name__ == "__main__":
    sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[2] / "fixtures")]
    for line in table(sys.argv[1]):
        print(line)
