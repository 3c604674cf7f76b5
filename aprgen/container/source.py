"""Where the bytes of a file lie while it is read: in memory, in a sealed copy that nobody can change, or in the file.

No mode maps the file itself: whoever cuts a mapped file kills the process that reads it, and whoever writes to it
changes a model after its signature was verified. Knows files and windows; knows nothing of what the bytes mean.
"""

from __future__ import annotations

import hashlib
import io
import mmap
import os
import sys
import weakref
import zlib
from collections.abc import Iterator
from pathlib import Path
from stat import S_ISREG
from threading import Lock

from aprgen.container.limits import DEFAULT_LIMITS, Limits
from aprgen.container.loading import LEAST_RING_BYTES, Loading
from aprgen.errors import ContainerError, UsageError

Bytes = bytes | memoryview

PAGES_PER_RING = 4  # a page is read at a time; half of the ring is for what it unpacks to
CRC_BYTES = 4  # at the end of every file, of all bytes before
DIGEST_BYTES = 16
COPY_BYTES = 1 << 16
OBJECT_BYTES = 256 << 10  # of small Python objects and caches of the libraries, whatever the file


def _open_at_once(path: str, flags: int) -> int:
    """A pipe without a writer opens, too, and is refused as no plain file."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


class Watch:
    """A file that stays open, and how it was: `require_same` raises when it has been cut or written to since.

    A file put in its place by renaming is another one, and no change of this.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = io.FileIO(path, opener=_open_at_once)
            found = os.fstat(self._file.fileno())
        except OSError as error:
            raise unreadable(path, error) from None
        weakref.finalize(self, self._file.close)
        if not S_ISREG(found.st_mode):
            raise UsageError(
                "file.mode", f"{path} is no plain file, and only those can be mapped, streamed or read lazily",
                where=str(path), hint="use --mode eager",
            )  # fmt: skip
        self.size = found.st_size
        self._modified = found.st_mtime_ns
        self._lock = Lock()

    @property
    def descriptor(self) -> int:
        return self._file.fileno()

    def require_same(self) -> None:
        found = os.fstat(self._file.fileno())
        if (found.st_size, found.st_mtime_ns) != (self.size, self._modified):
            resized = found.st_size != self.size
            raise self.changed(f"it has {found.st_size} bytes, not {self.size}" if resized else "it was written to")

    def changed(self, how: str) -> ContainerError:
        return ContainerError(
            "container.changed", f"the file was changed while it was in use: {how}", where=str(self.path),
            hint="load it again; to replace a model, write beside it and rename",
        )  # fmt: skip

    def read_into(self, buffer: memoryview, start: int) -> None:
        """Fill the buffer from there, or say that the file was cut."""
        at = 0
        with self._lock:
            self._file.seek(start)
            while at < len(buffer):
                try:
                    got = self._file.readinto(buffer[at:])
                except OSError as error:
                    raise unreadable(self.path, error) from None
                if not got:
                    raise self.changed(f"it ends at byte {start + at} of {self.size}")
                at += got


class MemoryFile:
    """All bytes at hand. watch: of the file that a sealed copy was made of."""

    def __init__(self, data: Bytes, watch: Watch | None = None) -> None:
        self.data = data
        self.watch = watch

    @property
    def size(self) -> int:
        return len(self.data)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    def crc(self) -> int:
        """Of all but the last four bytes."""
        return zlib.crc32(memoryview(self.data)[: max(0, self.size - CRC_BYTES)])

    def piece(self, start: int, stop: int) -> Bytes:
        """bytes of bytes, which is a copy; a view of a view."""
        return self.data[start:stop]

    def windows(self, start: int, stop: int) -> Iterator[memoryview]:
        yield memoryview(self.data)[start:stop]


class PagedFile:
    """The bytes stay in the file. Each page is read again when it is needed, and must be what it was at first.

    Reads nothing but by read(2), so a file that is cut gives an error and no signal.
    """

    def __init__(self, watch: Watch, ring_bytes: int = LEAST_RING_BYTES, *, stays_open: bool = False) -> None:
        """stays_open: parts are read after loading, too (lazy)."""
        self.watch = watch
        self.size = watch.size
        self.stays_open = stays_open
        self._page_bytes = ring_bytes // PAGES_PER_RING
        self._digests: list[bytes] = []
        whole = hashlib.sha256()
        self._crc = 0
        for page in self._pages(0, self.size):
            self._digests.append(_digest(page))
            whole.update(page)
            left = self.size - CRC_BYTES - self._page_bytes * (len(self._digests) - 1)
            self._crc = zlib.crc32(page[: max(0, left)], self._crc)
        self.sha256 = whole.hexdigest()

    def crc(self) -> int:
        return self._crc

    def piece(self, start: int, stop: int) -> bytes:
        """A copy; for what is small, or is the result."""
        found = bytearray(max(0, min(stop, self.size) - start))
        at = 0
        for window in self.windows(start, stop):
            found[at : at + len(window)] = window
            at += len(window)
        return bytes(found)

    def windows(self, start: int, stop: int) -> Iterator[memoryview]:
        """The bytes in order, each window only until the next. Raises ContainerError when they have changed."""
        stop = min(stop, self.size)
        first = start // self._page_bytes
        for number, page in enumerate(self._pages(first * self._page_bytes, stop), first):
            base = number * self._page_bytes
            if _digest(page) != self._digests[number]:
                raise self.watch.changed(f"a byte of {base} to {base + len(page)} is another one")
            yield page[max(0, start - base) : stop - base]

    def _pages(self, start: int, stop: int) -> Iterator[memoryview]:
        """Whole pages from a page's start, until `stop` is inside or the file ends. One buffer."""
        buffer = memoryview(bytearray(min(self._page_bytes, max(1, self.size))))
        for at in range(start, stop, self._page_bytes):
            page = buffer[: min(self._page_bytes, self.size - at)]
            self.watch.read_into(page, at)
            yield page.toreadonly()


Source = MemoryFile | PagedFile


def as_source(data: Bytes | Source) -> Source:
    return data if isinstance(data, MemoryFile | PagedFile) else MemoryFile(data)


def open_source(path: Path, loading: Loading, limits: Limits = DEFAULT_LIMITS) -> Source:
    """The file as the mode wants it; never more than Limits.file_bytes, and never more memory than the budget."""
    limits.take(OBJECT_BYTES, "the reader itself", str(path))
    if loading.mode == "eager":
        return MemoryFile(load_bytes(path, limits))
    watch = Watch(path)
    _require_size(watch.size, path, limits)
    if loading.mode == "mapped":
        limits.take(watch.size, "a copy of the file", str(path))
        data = sealed_copy(watch)
        watch.require_same()
        return MemoryFile(data, watch)
    n_pages = -(-watch.size // (loading.ring_bytes // PAGES_PER_RING))
    digests = n_pages * (DIGEST_BYTES + sys.getsizeof(b"") + 8)
    limits.take(loading.ring_bytes + digests, "the ring buffer", str(path))
    return PagedFile(watch, loading.ring_bytes, stays_open=loading.mode == "lazy")


def sealed_copy(watch: Watch) -> memoryview:
    """The file's bytes, read-only, in memory that nobody can cut or change, this process included.

    On Linux the kernel copies into a memory file, seals it, and it is mapped: no bytes object, and any number of views.
    Elsewhere it is a bytes object.
    """
    if watch.size == 0 or not hasattr(os, "memfd_create"):
        data = bytearray(watch.size)
        watch.read_into(memoryview(data), 0)
        return memoryview(bytes(data))
    from fcntl import F_ADD_SEALS, F_SEAL_GROW, F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_WRITE, fcntl

    copy = os.memfd_create("apr", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        at = 0
        while at < watch.size:
            got = _copy(copy, watch, at)
            if got == 0:
                raise watch.changed(f"it ends at byte {at} of {watch.size}")
            at += got
        fcntl(copy, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)
        # Private: kernels before 6.7 map a sealed file shared only where it could be written.
        return memoryview(mmap.mmap(copy, watch.size, mmap.MAP_PRIVATE, mmap.PROT_READ))
    except OSError as error:
        raise unreadable(watch.path, error) from None
    finally:
        os.close(copy)


def _copy(into: int, watch: Watch, at: int) -> int:
    """Some bytes from there; 0 at the end of the file."""
    try:
        return os.sendfile(into, watch.descriptor, at, watch.size - at)
    except OSError:  # not every file system sends
        piece = os.pread(watch.descriptor, min(COPY_BYTES, watch.size - at), at)
        return os.write(into, piece) if piece else 0


def load_bytes(path: Path, limits: Limits = DEFAULT_LIMITS) -> bytes:
    """The file's bytes, never more than the limit: a device or a huge file must not fill the memory."""
    most = limits.file_bytes + 1
    if limits.memory is not None:
        size = Watch(path).size  # a budget needs a size, so a plain file
        _require_size(size, path, limits)
        limits.take(size, "the file", str(path))
        most = size
    try:
        with path.open("rb") as file:
            data = file.read(most)
    except OSError as error:
        raise unreadable(path, error) from None
    _require_size(len(data), path, limits)
    return data


def _digest(page: memoryview) -> bytes:
    return hashlib.blake2b(page, digest_size=DIGEST_BYTES).digest()


def _require_size(size: int, path: Path, limits: Limits) -> None:
    if size > limits.file_bytes:
        raise ContainerError(
            "container.limit",
            f"the file has more than {limits.file_bytes} bytes",
            where=str(path),
            hint="raise Limits.file_bytes if you trust the file",
        )


def unreadable(path: Path, error: OSError) -> UsageError:
    return UsageError(
        "file.unreadable",
        f"cannot read {path}: {error.strerror}",
        where=str(path),
        hint="give the path of an .apr file that you may read",
    )
