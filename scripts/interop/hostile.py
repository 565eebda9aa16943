"""Small files that would make a careless reader work for long, or use much memory.

    python hostile.py FOLDER      writes them all, for tries by hand

Each maker returns the bytes of a file below 1 MB. None of them is damaged in a way that its first checks find.
"""

import io
import pathlib
import pickle
import struct
import sys
import tarfile
import zipfile
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "fixtures"))
import bad

MAKERS = {}


def maker(function):
    MAKERS[function.__name__] = function
    return function


def archive(data, storages={"0": bytes(16)}, deflated=False):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED, compresslevel=9) as target:
        target.writestr(zipfile.ZipInfo("x/data.pkl"), data, target.compression)
        target.writestr(zipfile.ZipInfo("x/version"), b"3\n", zipfile.ZIP_STORED)
        for key, content in storages.items():
            target.writestr(zipfile.ZipInfo(f"x/data/{key}"), content, zipfile.ZIP_STORED)
    return out.getvalue()


# Pickles, written by hand: names and storages are put into the memo once.
FLOATS, QUINTS = b"ctorch\nFloatStorage\n", b"ctorch\nQUInt8Storage\n"


def text(value):
    value = value if isinstance(value, bytes) else value.encode()
    return b"X" + struct.pack("<I", len(value)) + value


def integer(value):
    if 0 <= value < 256:
        return b"K" + bytes([value])
    if -(2**31) <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    data = value.to_bytes(9, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def ints(values):
    return b"(" + b"".join(map(integer, values)) + b"t"


def put(number):
    return b"r" + struct.pack("<I", number)


def get(number):
    return b"j" + struct.pack("<I", number)


REBUILD, STORAGE, FLAGS = 1, 2, 3


def start(count=4, kind=FLOATS):
    """Puts the function, a storage, and an empty OrderedDict into the memo."""
    return (
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n" + put(REBUILD) + b"0"
        + b"(" + text("storage") + kind + text("0") + text("cpu") + integer(count) + b"tQ" + put(STORAGE) + b"0"
        + b"ccollections\nOrderedDict\n)R" + put(FLAGS) + b"0"
    )


def tensor(shape, strides, offset=0):
    shape = shape if isinstance(shape, bytes) else ints(shape)
    strides = strides if isinstance(strides, bytes) else ints(strides)
    return get(REBUILD) + b"(" + get(STORAGE) + integer(offset) + shape + strides + b"\x89" + get(FLAGS) + b"tR"


def state_dict(entries, before=None):
    """A dict of key and pickled value."""
    items = b"".join(text(key) + value for key, value in entries)
    return (start() if before is None else before) + b"}(" + items + b"u."


@maker
def one_expanded():
    return archive(state_dict([("w", tensor([2**40], [0])), ("v", tensor([4], [1]))]))


@maker
def many_expanded():
    return archive(state_dict([(f"w{n}", tensor([2**24, n + 1], [0, 0])) for n in range(500)]))


@maker
def expanded_by_rows():
    return archive(state_dict([("w", tensor([2**20, 4], [0, 1])), ("v", tensor([3, 2**26], [1, 0]))]))


@maker
def overlapping_views():
    content = {"0": bytes(800_000)}
    return archive(
        state_dict([(f"w{n}", tensor([100_000 - n], [2], n)) for n in range(1500)], start(200_000)), content)


@maker
def overlapping_runs():
    content = {"0": bytes(800_000)}
    return archive(state_dict([(f"w{n}", tensor([195_000], [1], n)) for n in range(2000)], start(200_000)), content)


@maker
def many_dimensions():
    shape = ints([1] * 100_000) + put(10)
    first = tensor(shape, shape)
    return archive(state_dict([("w", first)] + [(f"w{n}", tensor(get(10), get(10))) for n in range(8000)]))


@maker
def huge_strides():
    entries = [
        ("one", tensor([2, 1], [2, 2**63 - 1])), ("one_c", tensor([1, 2], [2**62, 2])),
        ("empty", tensor([0, 2], [2**62, 2**62], 2**62)), ("zero", tensor([1], [2**61], 3)),
    ]
    return archive(state_dict(entries))


@maker
def empty_far_away():
    return archive(state_dict([("w", tensor([0], [1], 2**63 - 1)), ("v", tensor([0, 2**40, 2**40], [0, 0, 0]))]))


@maker
def quantized_channels():
    """Each tensor has a million scales, of one number that is expanded."""
    scales = tensor([2**20], [0]) + put(20) + b"0"
    before = start() + scales + b"ctorch._utils\n_rebuild_qtensor\n" + put(21) + b"0"
    before += b"(" + text("storage") + b"ctorch\nQInt8Storage\n" + text("1") + text("cpu") + integer(4) + b"tQ" + put(22) + b"0"
    quantizer = b"(ctorch\nper_channel_affine_float_qparams\n" + get(20) + get(20) + b"K\0t"
    one = get(21) + b"(" + get(22) + b"K\0" + ints([2**20]) + ints([0]) + quantizer + b"\x89" + get(FLAGS) + b"tR"
    return archive(state_dict([(f"w{n}", one) for n in range(1000)], before), {"0": bytes(16), "1": bytes(4)})


@maker
def quantized_packed():
    before = start() + b"ctorch._utils\n_rebuild_qtensor\n" + put(21) + b"0"
    before += (
        b"(" + text("storage") + b"ctorch\nQUInt4x2Storage\n" + text("1") + text("cpu") + integer(8) + b"tQ" + put(22) + b"0"
    )
    quantizer = b"(ctorch\nper_tensor_affine\nG?\xf0\0\0\0\0\0\0K\0t"
    views = [([4], [1], 1), ([3], [1], 5), ([2, 2], [4, 1], 0), ([1], [2**60], 7), ([0], [1], 3)]
    entries = [
        (f"w{n}", get(21) + b"(" + get(22) + integer(offset) + ints(shape) + ints(strides) + quantizer + b"\x89" + get(FLAGS) + b"tR")
        for n, (shape, strides, offset) in enumerate(views)
    ]
    return archive(state_dict(entries, before), {"0": bytes(16), "1": bytes(8)})


@maker
def complex_strides():
    before = start(4, b"ctorch\nComplexFloatStorage\n")
    entries = [
        ("a", tensor([0, 2], [2**62, 1])), ("b", tensor([1, 2], [2**62, 1])), ("c", tensor([], [], 3)),
        ("d", tensor([2, 1], [1, 2**62 + 1])), ("e", tensor([0], [1], 2**62)),
    ]
    return archive(state_dict(entries, before), {"0": bytes(32)})


def inflated(item, count, around=(b"\x80\x02", b".")):
    return archive(around[0] + item * count + around[1], deflated=True)


@maker
def many_lists():
    return inflated(b"]", 40_000_000)


@maker
def many_nothings():
    return inflated(b"N", 40_000_000)


@maker
def many_pushes():
    return inflated(b"N0", 40_000_000)


@maker
def many_numbers():
    return inflated(b"J\1\2\3\4", 20_000_000, (b"\x80\x02](", b"e."))


@maker
def many_tuples():
    return inflated(b"N\x85", 20_000_000, (b"\x80\x02](", b"e."))


@maker
def many_dicts():
    return inflated(b"}", 20_000_000, (b"\x80\x02](", b"e."))


@maker
def many_memos():
    return inflated(b"\x94", 60_000_000, (b"\x80\x04]", b"."))


@maker
def many_names():
    return inflated(b"ca\nb\n0", 10_000_000, (b"\x80\x02", b"N."))


@maker
def many_edits():
    return inflated(b"Na", 20_000_000, (b"\x80\x02]", b"."))


@maker
def many_builds():
    return inflated(b"}b", 10_000_000, (b"\x80\x02ca\nb\n)\x81", b"."))


@maker
def long_text():
    return archive(b"\x80\x02" + text(b"a" * 100_000_000) + b".", deflated=True)


@maker
def doubled_lists():
    """Each list holds the one before it twice: 2^60 paths."""
    data = b"]" + put(100) + b"0"
    for number in range(1, 60):
        data += b"](" + get(99 + number) * 2 + b"e" + put(100 + number) + b"0"
    return archive(state_dict([("w", tensor([4], [1])), ("x", data + get(159))]))


@maker
def doubled_tuples():
    data = b")" + put(100) + b"0"
    for number in range(1, 60):
        data += get(99 + number) * 2 + b"\x86" + put(100 + number) + b"0"
    return archive(state_dict([("w", tensor([4], [1])), ("x", data + get(159))]))


@maker
def doubled_with_tensors():
    data = tensor([4], [1]) + put(100) + b"0"
    for number in range(1, 60):
        data += b"](" + get(99 + number) * 2 + b"e" + put(100 + number) + b"0"
    return archive(state_dict([("w", get(159))], start() + data))


@maker
def one_object_everywhere():
    """Tens of thousands of keys whose value is one long list."""
    big = b"](" + b"K\1" * 200_000 + b"e" + put(100) + b"0"
    entries = [("w", tensor([4], [1]))] + [(f"k{n}", get(100)) for n in range(30_000)]
    return archive(state_dict(entries, start() + big))


@maker
def one_dict_everywhere():
    big = b"}(" + b"".join(integer(n) + b"N" for n in range(60_000)) + b"u" + put(100) + b"0"
    entries = [("w", tensor([4], [1]))] + [(f"k{n}", get(100)) for n in range(30_000)]
    return archive(state_dict(entries, start() + big))


@maker
def one_dict_of_tensors_everywhere():
    big = b"}(" + b"".join(text(f"{n}") + tensor([4], [1]) for n in range(6000)) + b"u" + put(100) + b"0"
    entries = [(f"k{n}", get(100)) for n in range(30_000)]
    return archive(state_dict(entries, start() + big))


@maker
def many_state_dicts():
    one = b"}(" + text("w") + tensor([4], [1]) + text("s") + get(100) + b"u"
    return archive(state_dict([(f"k{n}", one) for n in range(8000)], start() + b"}" + put(100) + b"0"))


@maker
def deep_lists():
    return archive(state_dict([("w", tensor([4], [1])), ("x", b"]" * 9000 + b"a" * 8999)]))


@maker
def deep_dicts():
    key = text("k" * 50)
    return archive(state_dict([("w", tensor([4], [1])), ("x", (b"}" + key) * 9000 + b"N" + b"s" * 9000)]))


@maker
def deep_reductions():
    return archive(state_dict([("w", tensor([4], [1])), ("x", b"ca\nb\n(" * 4000 + b"tR" * 4000)]))


@maker
def long_int():
    data = b"\x8b" + struct.pack("<i", 900_000) + b"\x01" * 900_000
    return archive(state_dict([("w", tensor([4], [1])), ("n", data)]))


@maker
def long_decimal():
    return archive(state_dict([("w", tensor([4], [1])), ("n", b"L" + b"9" * 900_000 + b"L\n")]))


@maker
def long_float():
    return archive(state_dict([("w", tensor([4], [1])), ("n", b"F" + b"9" * 900_000 + b"\n")]))


@maker
def long_key():
    return archive(state_dict([("k" * 400_000, tensor([4], [1])), ("k" * 400_000 + "l", tensor([4], [1]))]))


@maker
def same_key_again():
    return archive(start() + b"}(" + (text("k") + get(STORAGE)) * 60_000 + text("w") + tensor([4], [1]) + b"u.")


@maker
def many_attributes():
    state = b"}(" + text("w") + tensor([4], [1]) + b"u"
    builds = b"".join(b"}" + text(f"a{n}") + b"Nsb" for n in range(50_000))
    return archive(start() + b"ccollections\nOrderedDict\n)R(" + text("w") + tensor([4], [1]) + b"u" + state + b"b" + builds + b".")


@maker
def many_tensors():
    return archive(state_dict([(f"k{n}", tensor([4], [1])) for n in range(17_000)]))


@maker
def many_storages():
    entries = []
    for n in range(9000):
        entries.append((f"k{n}", b"(" + text("storage") + FLOATS + text("0") + text("cpu") + b"K\4tQ"))
    return archive(state_dict([("w", tensor([4], [1]))] + entries))


@maker
def many_records():
    return archive(state_dict([("w", tensor([4], [1]))]), {str(n): b"" if n else bytes(16) for n in range(8000)})


@maker
def zeros_in_deflate():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as target:
        header = b"\x93NUMPY\1\0" + struct.pack("<H", 118) + b"{'descr': '|u1', 'fortran_order': False, 'shape': (500000000,), }".ljust(117) + b"\n"
        target.writestr("w.npy", header + bytes(500_000_000))
    return out.getvalue()


@maker
def pickles_in_a_row():
    magic = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) + pickle.dumps({}, 2)
    return magic + (b"\x80\x02}." * 200_000)


@maker
def bare_pickles_in_a_row():
    return b"\x80\x02}." * 200_000


@maker
def text_pickles_in_a_row():
    return b"I1\n." * 200_000


@maker
def stops_in_a_row():
    return b"\x80\x02" + b"N." * 450_000


@maker
def tar_of_many():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:", format=tarfile.USTAR_FORMAT) as target:
        for name in ["storages", "tensors", "pickle"] + [f"x{n}" for n in range(1500)]:
            target.addfile(tarfile.TarInfo(name))
    return out.getvalue()


def safetensors(header, data=b""):
    header = header.encode() if isinstance(header, str) else header
    return struct.pack("<Q", len(header)) + header + data


@maker
def safetensors_dimensions():
    ones = ",".join(["1"] * 1000)
    entry = '"%d":{"dtype":"F32","shape":[' + ones + '],"data_offsets":[%d,%d]}'
    return safetensors("{" + ",".join(entry % (n, 4 * n, 4 * n + 4) for n in range(400)) + "}", bytes(1600))


@maker
def safetensors_empty():
    entry = '"%d":{"dtype":"F32","shape":[0,1099511627776],"data_offsets":[0,0]}'
    return safetensors("{" + ",".join(entry % n for n in range(13_000)) + "}")


@maker
def safetensors_deep():
    return safetensors('{"w":{"dtype":"F32","shape":[],"data_offsets":[0,4],"x":' + "[" * 400_000 + "]" * 400_000 + "}}", bytes(4))


@maker
def index_of_many():
    return ('{"weight_map":{' + ",".join(f'"k{n}":"s{n}.safetensors"' for n in range(25_000)) + "}}").encode()


@maker
def gguf_of_many():
    tensors = b"".join(struct.pack("<Q", 5) + b"%05d" % n + struct.pack("<IQIQ", 1, 0, 0, 0) for n in range(20_000))
    return b"GGUF" + struct.pack("<IQQ", 3, 20_000, 0) + tensors + bytes(64)


@maker
def gguf_long_array():
    value = struct.pack("<Q", 1) + b"k" + struct.pack("<IIQ", 9, 8, 100_000) + struct.pack("<Q", 0) * 100_000
    return b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + value + bytes(64)


@maker
def gguf_deep_arrays():
    value = struct.pack("<Q", 1) + b"k" + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 70_000 + struct.pack("<IQ", 0, 1) + b"\1"
    return b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + value + bytes(64)


@maker
def numpy_dimensions():
    shape = ", ".join(["1"] * 20_000)
    header = ("{'descr': '<f4', 'fortran_order': True, 'shape': (%s), }\n" % shape).encode()
    return b"\x93NUMPY\2\0" + struct.pack("<I", len(header)) + header + bytes(4)


@maker
def archives_in_archives():
    data = bad.archive(bad.pickled({"w": bad.tensor()}))
    for depth in range(40):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as target:
            target.writestr("x/data.pkl", b"\x80\x02}.")
            target.writestr("x/inner.pt", data)
        data = out.getvalue()
    return data


@maker
def gzip_of_zeros():
    squeezed = zlib.compressobj(9, zlib.DEFLATED, 31)
    return squeezed.compress(bytes(500_000_000)) + squeezed.flush()


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    for name, make in MAKERS.items():
        data = make()
        assert len(data) < 1_000_000, (name, len(data))
        (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
