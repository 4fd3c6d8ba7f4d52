"""Zip archives, read for what they declare: each entry a place in the file, nothing unpacked.

The standard library's reader hides where an entry's bytes begin, and a tensor of many
gigabytes is to be read in part. So the directory is parsed here (PKWARE's APPNOTE 6.3.10,
sections 4.3 and 4.5.3), with every size and offset checked against the file.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from rmtviz.formats.sources import Limits, Source, short

_LOCAL = struct.Struct("<4s5H3L2H")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")

_STORED, _DEFLATED = 0, 8
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_UTF8 = 0x800
_CHUNK = 2**16
_COMMENT = 2**16 - 1


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of an archive: where it lies, how it is packed, and what it declares.

    `room` is where the next thing in the archive begins. `checked` says that a read compares
    the checksum, which takes the whole entry; some writers of PyTorch files leave it blank.
    """

    source: Source
    name: str
    header: int
    room: int
    packed: int
    length: int
    deflated: bool
    checksum: int
    checked: bool

    def head(self, count: int) -> bytes:
        return bytes(self._stretch(0, min(count, self.length)))

    def read(self, offset: int, count: int) -> memoryview:
        if offset < 0 or count < 0 or offset + count > self.length:
            raise self._damaged()
        if not self.checked:
            return self._stretch(offset, count)
        whole = self._stretch(0, self.length)
        if zlib.crc32(whole) != self.checksum:
            raise self._damaged()
        return whole[offset : offset + count]

    def effort(self, count: int) -> int:
        return self.length if self.deflated or self.checked else count

    def _stretch(self, offset: int, count: int) -> memoryview:
        if self.deflated:
            return self._inflate(offset + count)[offset:]
        return self.source.read(self._start() + offset, count)

    def _inflate(self, count: int) -> memoryview:
        """Return the first bytes of what is packed here; no more than `count` are ever made."""
        start, done = self._start(), 0
        machine = zlib.decompressobj(-zlib.MAX_WBITS)
        pieces: list[bytes] = []
        try:
            for at in range(0, self.packed, _CHUNK):
                chunk = self.source.read(start + at, min(_CHUNK, self.packed - at))
                pieces.append(machine.decompress(chunk, count - done + 1))
                done += len(pieces[-1])
                if done >= count:
                    break
        except zlib.error:
            raise self._damaged() from None
        if done < count or (count == self.length and done > count):
            raise self._damaged()
        return memoryview(b"".join(pieces))[:count]

    def _start(self) -> int:
        """Return where the packed bytes begin, which only the header before them says."""
        sign, *_, name, extra = _LOCAL.unpack(self.source.read(self.header, _LOCAL.size))
        start = self.header + _LOCAL.size + name + extra
        if sign != b"PK\3\4" or start + self.packed > self.room:
            raise self._damaged()
        return int(start)

    def _damaged(self) -> Exception:
        return self.source.refuse("zip_damaged", name=short(self.name))


def entries(source: Source, limits: Limits, *, checked: bool = False) -> dict[str, Entry] | None:
    """Return the files of an archive by name, or None where the source is no archive.

    Raises:
        FileRefused: cut off, encrypted, overlapping, ambiguous, or beyond the limits.
    """
    if source.head(4) not in (b"PK\3\4", b"PK\5\6"):
        return None
    start, stop = _directory(source)
    if stop - start > limits.header_bytes:
        raise source.refuse("limit_header", size=stop - start, limit=limits.header_bytes)
    listed = sorted(_parse(source, source.read(start, stop - start)), key=lambda item: item.header)
    rooms = [*(item.header for item in listed), start][1:]
    found: dict[str, Entry] = {}
    for item, room in zip(listed, rooms, strict=True):
        if item.header + _LOCAL.size + len(item.name) + item.packed > room:
            raise source.refuse("zip_overlap", name=short(item.name))
        if item.name in found:
            raise source.refuse("zip_twice", name=short(item.name))
        found[item.name] = replace(item, room=room, checked=checked)
    return {name: entry for name, entry in found.items() if not name.endswith("/")}


def _directory(source: Source) -> tuple[int, int]:
    """Return where the directory starts and stops, from the record at the end of the file."""
    base = max(0, source.length - _END.size - _COMMENT)
    tail = bytes(source.read(base, source.length - base))
    at = tail.rfind(b"PK\5\6", 0, max(0, len(tail) - _END.size + 4))
    if at < 0:
        raise source.refuse("file_cut", length=source.length)
    *_, size, start, comment = _END.unpack_from(tail, at)
    if at + _END.size + comment != len(tail):
        raise source.refuse("file_cut", length=source.length)
    stop = base + at
    if stop >= _LOCATOR.size:
        sign, _, at64, _ = _LOCATOR.unpack(source.read(stop - _LOCATOR.size, _LOCATOR.size))
        if sign == b"PK\6\7":
            sign, *_, size, start = _END64.unpack(source.read(at64, _END64.size))
            stop = at64 if sign == b"PK\6\6" else -1
    if start + size > stop:
        raise source.refuse("zip_directory")
    return start, start + size


def _parse(source: Source, directory: memoryview) -> Iterator[Entry]:
    """Yield what the directory lists."""
    at = 0
    try:
        while at < len(directory):
            fields = _ENTRY.unpack_from(directory, at)
            sign, flags, method, checksum = fields[0], fields[3], fields[4], fields[7]
            names, extras, comments, header = fields[10], fields[11], fields[12], fields[16]
            at += _ENTRY.size
            name = bytes(directory[at : at + names]).decode("utf-8" if flags & _UTF8 else "cp437")
            extra = bytes(directory[at + names : at + names + extras])
            at += names + extras + comments
            if sign != b"PK\1\2" or at > len(directory):
                raise source.refuse("zip_directory")
            if flags & _ENCRYPTED:
                raise source.refuse("zip_encrypted", name=short(name))
            if method not in (_STORED, _DEFLATED):
                raise source.refuse("zip_method", name=short(name), method=method)
            length, packed, header = _wide(extra, fields[9], fields[8], header)
            if method == _STORED and packed != length:
                raise source.refuse("zip_damaged", name=short(name))
            yield Entry(
                source, name, header, header, packed, length, method == _DEFLATED, checksum, False
            )
    except (struct.error, UnicodeDecodeError):
        raise source.refuse("zip_directory") from None


def _wide(extra: bytes, *narrow: int) -> list[int]:
    """Return length, packed length and offset; those that are all ones stand in the extra field."""
    wide, at = b"", 0
    while at + 4 <= len(extra):
        kind, count = struct.unpack_from("<2H", extra, at)
        if kind == 1:
            wide = extra[at + 4 : at + 4 + count]
        at += 4 + count
    numbers, at = [], 0
    for number in narrow:
        if number == 2**32 - 1:
            (number,) = struct.unpack_from("<Q", wide, at)
            at += 8
        numbers.append(number)
    return numbers
