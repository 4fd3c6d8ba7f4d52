"""Zip archives that are broken, that lie, or that inflate."""

import struct

import numpy as np

from rmtviz import formats
from rmtviz.formats import Limits
from tests.hostile.making import Part, archive, npy, refused


class TestArchives:
    def test_what_the_directory_may_not_say(self):
        data = Part("w.npy", npy(np.ones(2)))
        overlap = Part("v.npy", npy(np.ones(2)), offset=0)
        cases = [
            (archive(data, overlap), "zip_overlap"),
            (archive(data, Part("v.npy", b"", length=2**31, size=2**31)), "zip_overlap"),
            (archive(Part("w.npy", b"", size=2**32 - 2, length=2**32 - 2)), "zip_overlap"),
            (archive(data, data), "zip_twice"),
            (archive(data, Part("w", b"")), "zip_twice"),
            (archive(Part("w.npy", npy(np.ones(2)), flags=1)), "zip_encrypted"),
            (archive(Part("w.npy", npy(np.ones(2)), method=14)), "zip_method"),
            (archive(Part("w.npy", npy(np.ones(2)), length=7)), "zip_damaged"),
            (archive(Part("w.npy", npy(np.ones(2)), crc=7)), "zip_damaged"),
            (archive(Part("w.npy", npy(np.ones(2)), offset=2**32 - 1)), "zip_directory"),
            (archive(Part("w.npy", npy(np.ones(2)), offset=5)), "zip_overlap"),
            (archive(data) + b"\n", "file_cut"),
            (archive(data)[:-1], "file_cut"),
            (b"PK\3\4", "file_cut"),
            (b"PK\3\4" + bytes(100), "file_cut"),
            (archive(), "is_zip"),
            (archive(Part("word/document.xml", b"<a/>")), "is_zip"),
            (archive(Part("config.json", b"{}"), Part("model.weights.h5", b"")), "hdf5_damaged"),
            (archive(Part("m/archive_format", b"pt2")), "is_zip"),
        ]
        for content, key in cases:
            assert refused(content) == key

    def test_a_directory_that_begins_beyond_the_file(self):
        end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 2**31, 2**31, 0)
        assert refused(b"PK\3\4" + bytes(40) + end) == "zip_directory"
        wide = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, 2**63, 2**63)
        locator = struct.pack("<4sLQL", b"PK\6\7", 0, 4, 1)
        assert refused(b"PK\3\4" + wide + locator + end) == "zip_directory"

    def test_a_comment_is_no_harm(self):
        content = archive(Part("w.npy", npy(np.ones(2))), comment=b"made by hand", count=7)
        assert formats.read(content)["w"].tolist() == [1, 1]

    def test_sizes_and_offsets_of_eight_bytes(self):
        content, big = npy(np.ones(2)), 2**32 - 1
        numbers = struct.pack("<HHQQQ", 1, 24, len(content), len(content), 0)
        other = struct.pack("<HH4s", 0x5455, 4, b"time")
        for extra in (numbers, other + numbers):
            part = Part("w.npy", content, length=big, size=big, offset=big, extra=extra)
            assert formats.read(archive(part))["w"].tolist() == [1, 1]
        for extra in (numbers[:-1], numbers[:4], other, b"\1", numbers.replace(b"\1", b"\2", 1)):
            part = Part("w.npy", content, length=big, size=big, offset=big, extra=extra)
            assert refused(archive(part)) == "zip_directory"

    def test_limits(self):
        parts = [Part(f"{k}.npy", npy(np.ones(1))) for k in range(11)]
        assert refused(archive(*parts), limits=Limits(tensors=10)) == "limit_tensors"
        assert refused(archive(*parts), limits=Limits(header_bytes=100)) == "limit_header"
