"""A disk that loses power: which files and folders can be found afterwards, given the calls of a program.

The weakest promise of a file system is assumed: what was written into a file is there after the file was synced; a name
is there after its folder was synced; whatever came later may be there or not, each change by itself, in any order.
"""

import dataclasses
import itertools
import os
import random


@dataclasses.dataclass
class Change:
    """A change that is not safe yet: of a file's bytes, or of names in folders."""

    inode: int | None = None
    offset: int = 0
    bytes: bytes = b""
    names: tuple = ()  # ((folder, name, inode or None), ...), which happen together
    synced_by: int = 0  # the file or folder whose sync makes it safe


class Disk:
    """Folders and files by number; `safe` is what survives, `open` are the changes that may."""

    def __init__(self, root):
        self.root = os.path.normpath(root)
        self.files, self.folders, self.open, self.number, self.inodes = {}, {}, [], 0, {}
        self.top = self._load(self.root)
        self.live = {number: dict(entries) for number, entries in self.folders.items()}

    def _new(self):
        self.number += 1
        return self.number

    def _load(self, path):
        number = self._new()
        self.folders[number] = {}
        for entry in os.scandir(path):
            if entry.is_dir(follow_symlinks=False):
                self.folders[number][entry.name] = self._load(entry.path)
            else:
                file = self._new()
                self.files[file] = open(entry.path, "rb").read()
                self.inodes[entry.inode()] = file
                self.folders[number][entry.name] = file
        return number

    def _place(self, path):
        """The number of the folder in which a path is, and its name there."""
        parts = [part for part in os.path.relpath(path, self.root).split("/") if part != "."]
        folder = self.top
        for part in parts[:-1]:
            folder = self.live[folder][part]
        return (folder, parts[-1]) if parts else (None, "")

    def _names(self, synced_by, *names):
        for folder, name, inode in names:
            if inode is None:
                self.live[folder].pop(name, None)
            else:
                self.live[folder][name] = inode
        self.open.append(Change(names=names, synced_by=synced_by))

    def replay(self, path):
        """Yields after each change; `states` tells what may be found then."""
        with open(path, "rb") as record:
            while line := record.readline():
                kind, _, rest = line.rstrip(b"\n").decode().partition(" ")
                if kind == "create":
                    self.inodes[int(rest)] = number = self._new()
                    self.files[number] = b""
                elif kind == "write":
                    inode, offset, count = map(int, rest.split())
                    number = self.inodes[inode]
                    self.open.append(Change(number, offset, record.read(count), synced_by=number))
                elif kind == "extend":
                    inode, count = map(int, rest.split())
                    number = self.inodes[inode]
                    self.open.append(Change(number, count, b"", synced_by=number))
                elif kind == "link":
                    inode, _, target = rest.partition(" ")
                    folder, name = self._place(target)
                    if folder is None or int(inode) not in self.inodes:
                        continue
                    self._names(folder, (folder, name, self.inodes[int(inode)]))
                elif kind == "rename":
                    source, target = rest, record.readline().rstrip(b"\n").decode().removeprefix("to ")
                    (a, old), (b, new) = self._place(source), self._place(target)
                    self._names(b, (b, new, self.live[a][old]), (a, old, None))
                elif kind == "unlink":
                    folder, name = self._place(rest)
                    self._names(folder, (folder, name, None))
                elif kind == "mkdir":
                    folder, name = self._place(rest)
                    number = self._new()
                    self.folders[number], self.live[number] = {}, {}
                    self._names(folder, (folder, name, number))
                elif kind == "sync":
                    self._sync(self.inodes[int(rest)])
                elif kind == "syncfolder":
                    folder, name = self._place(rest)
                    self._sync(self.top if folder is None else self.live[folder][name])
                else:
                    raise ValueError(line)
                yield

    def _sync(self, number):
        safe = [change for change in self.open if change.synced_by == number]
        self.open = [change for change in self.open if change.synced_by != number]
        self._apply(safe, self.files, self.folders)

    @staticmethod
    def _apply(changes, files, folders):
        for change in changes:
            if change.inode is not None:
                old = files[change.inode].ljust(change.offset, b"\0")
                files[change.inode] = old[: change.offset] + change.bytes + old[change.offset + len(change.bytes) :]
            for folder, name, inode in change.names:
                if inode is None:
                    folders[folder].pop(name, None)
                else:
                    folders[folder][name] = inode

    def states(self, limit):
        """Trees that may be found if the power fails now: {path: bytes or None for a folder}; at most `limit`."""
        count = len(self.open)
        if 2**count <= limit:
            chosen = itertools.product([False, True], repeat=count)
        else:
            chosen = [[False] * count, [True] * count]
            chosen += [[index != other for other in range(count)] for index in range(count)]
            chosen += [[index == other for other in range(count)] for index in range(count)]
            chosen += [[random.random() < share for _ in range(count)] for share in (0.2, 0.5, 0.8) for _ in range(limit // 3)]
            chosen = chosen[:limit]
        for keep in chosen:
            files, folders = dict(self.files), {number: dict(names) for number, names in self.folders.items()}
            self._apply([change for change, is_kept in zip(self.open, keep) if is_kept], files, folders)
            tree = {}
            self._walk(self.top, "", files, folders, tree)
            yield tree

    def _walk(self, number, path, files, folders, tree):
        for name, inode in folders[number].items():
            if inode in folders:
                tree[path + name] = None
                self._walk(inode, path + name + "/", files, folders, tree)
            else:
                tree[path + name] = files[inode]


def tree_of(root):
    """What is in a folder: {path: bytes or None for a folder}."""
    tree = {}
    for folder, folders, files in os.walk(root):
        base = os.path.relpath(folder, root)
        prefix = "" if base == "." else base + "/"
        tree.update({prefix + name: None for name in folders})
        for name in files:
            with open(os.path.join(folder, name), "rb") as file:
                tree[prefix + name] = file.read()
    return tree
