"""What holds for the archives that we write, and beside others of the same objects."""

import io
import subprocess
import zipfile

import torch
from compare import assert_equal
from harness import FIXTURES


def loads(path, weights_only, mmap):
    return torch.load(path, weights_only=weights_only, mmap=mmap)


def can_load_plainly(path):
    try:
        torch.load(path, weights_only=True)
        return True
    except Exception:
        return False


def check_archive(path, crc=True):
    """What holds for every archive that we write."""
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        names = [info.filename.split("/", 1)[1] for info in archive.infolist()]
        data = path.read_bytes()
        for info in archive.infolist():
            start = info.header_offset
            name, extra = (int.from_bytes(data[start + at : start + at + 2], "little") for at in (26, 28))
            assert (start + 30 + name + extra) % 64 == 0, f"{info.filename} is not aligned"
            assert info.compress_type == 0
    numbers = [name for name in names if name.startswith("data/")]
    assert names[:4] == ["data.pkl", ".format_version", ".storage_alignment", "byteorder"], names
    assert numbers == [f"data/{n}" for n in range(len(numbers))], numbers
    assert names[-2:] == ["version", ".data/serialization_id"], names
    unzip = subprocess.run(["unzip", "-tqq", path], capture_output=True, text=True)
    assert unzip.returncode == 0, unzip.stdout + unzip.stderr


def check_same_objects(original, written):
    """`torch.load` gives equal objects for both files, in every way in which it loads the first."""
    assert_equal(loads(original, False, False), loads(written, False, False))
    assert_equal(loads(original, False, False), loads(written, False, True))
    if can_load_plainly(original):
        assert_equal(loads(original, True, False), loads(written, True, False))
        assert_equal(loads(original, True, False), loads(written, True, True))


def same_but_for_id(left, right):
    """The same bytes, except the first half of the serialization id and what depends on it."""
    left, right = left.read_bytes(), right.read_bytes()
    if left == right:
        return
    assert len(left) == len(right), f"{len(left)} bytes is not {len(right)}"
    with zipfile.ZipFile(io.BytesIO(left)) as archive:
        info = archive.infolist()[-1]
        start = info.header_offset
        directory = archive.start_dir
    name, extra = (int.from_bytes(left[start + at : start + at + 2], "little") for at in (26, 28))
    digits = start + 30 + name + extra
    end = left.rindex(info.filename.encode()) - 46
    varying = [range(digits, digits + 20), range(digits + 44, digits + 48), range(end + 16, end + 20)]
    assert directory <= end
    for place, (a, b) in enumerate(zip(left, right)):
        assert a == b or any(place in span for span in varying), f"byte {place} differs"


def as_pytorch_should_read(source):
    """PyTorch does not turn round big-endian storages without a type (uint32): take the same, unturned."""
    return FIXTURES / "unaligned.pt" if source.name == "big_endian.pt" else source
