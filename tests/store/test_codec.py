import contextlib
import math
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numcodecs import blosc
from support_shards import same_bits, smooth

from astrohpc.errors import ConfigError
from astrohpc.store.codec import NAMES, Codec, Damaged

TYPES = ["|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f4", "<f8"]


@settings(max_examples=150, deadline=None)
@given(
    values=hnp.arrays(st.sampled_from(TYPES), hnp.array_shapes(max_dims=4, max_side=12)),
    name=st.sampled_from(NAMES),
    shuffle=st.booleans(),
)
def test_every_value_comes_back_with_all_its_bits(
    values: np.ndarray, name: str, shuffle: bool
) -> None:
    codec = Codec(name, 1, shuffle)
    data = codec.encode(values)
    assert same_bits(codec.decode(data, values.dtype, values.shape), values)
    assert codec.encode(values) == data


@pytest.mark.parametrize("special", [np.nan, -np.nan, np.inf, -0.0, 1e-45, -1e30])
def test_special_values_come_back(special: float) -> None:
    values = smooth("<f4", (7, 9))
    values[2:4] = np.float32(special)
    for name in NAMES:
        codec = Codec(name)
        assert same_bits(codec.decode(codec.encode(values), values.dtype, values.shape), values)


def test_big_endian_values_become_little_endian_ones() -> None:
    values = smooth(">f4", (5, 8))
    codec = Codec()
    back = codec.decode(codec.encode(values), values.dtype, values.shape)
    assert same_bits(back, values.astype("<f4"))


def test_planes_are_one_blosc_block_a_chunk_and_keep_the_type() -> None:
    values = smooth("<f4", (40, 46, 72))
    _, _, flags, typesize, nbytes, block, _ = struct.unpack_from("<BBBBIII", Codec().encode(values))
    assert (typesize, nbytes, block) == (4, values.nbytes, values.nbytes)
    assert flags & 0x4  # bit-shuffle


def test_metadata_describe_what_is_written() -> None:
    shape = (1, 40, 46, 72)
    (sharding,) = Codec().shard_metadata(np.dtype("<f4"), shape)
    inner = sharding["configuration"]["codecs"]
    assert sharding["configuration"]["index_location"] == "end"
    assert inner[0] == {"name": "bytes", "configuration": {"endian": "little"}}
    assert inner[1]["configuration"] == {
        "cname": "zstd",
        "clevel": 1,
        "shuffle": "bitshuffle",
        "typesize": 4,
        "blocksize": math.prod(shape) * 4,
    }


def test_only_what_is_passed_through_keeps_a_big_endian_order_and_names_its_shuffle() -> None:
    big = np.dtype(">i2")
    assert Codec().metadata(big, (4,))[0]["configuration"] == {"endian": "little"}
    shuffled = Codec("deflate", 4).metadata(big, (4,))
    assert shuffled[0]["configuration"] == {"endian": "big"}
    assert [codec["name"] for codec in shuffled[1:]] == ["numcodecs.shuffle", "numcodecs.zlib"]
    plain = Codec("deflate", 4, shuffle=False).metadata(big, (4,))
    assert [codec["name"] for codec in plain[1:]] == ["numcodecs.zlib"]


@pytest.mark.parametrize(
    ("name", "level", "said"),
    [("zip", 1, "'zip'"), ("planes", 99, "99"), ("blosc", -1, "-1"), ("lz4", 10, "10")],
)
def test_unknown_codecs_and_levels_are_refused_in_words(name: str, level: int, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Codec(name, level)


@settings(max_examples=200, deadline=None)
@given(data=st.data(), name=st.sampled_from(NAMES))
def test_damaged_bytes_are_refused_or_decoded_but_nothing_crashes(
    data: st.DataObject, name: str
) -> None:
    values = smooth("<f4", (33, 8))
    codec = Codec(name)
    chunk = bytearray(codec.encode(values))
    for at in data.draw(st.lists(st.integers(0, len(chunk) - 1), max_size=5)):
        chunk[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(chunk)))
    with contextlib.suppress(Damaged):
        assert codec.decode(bytes(chunk[:cut]), values.dtype, values.shape).shape == values.shape


def test_a_header_that_promises_more_than_is_there_is_refused() -> None:
    values = smooth("<f4", (64,))
    chunk = bytearray(Codec().encode(values))
    chunk[4:8] = struct.pack("<I", 2**30)
    with pytest.raises(Damaged, match=str(2**30)):
        Codec().decode(bytes(chunk), values.dtype, values.shape)
    with pytest.raises(Damaged, match="fewer than a header"):
        Codec().decode(b"", values.dtype, values.shape)


def test_a_stream_that_inflates_to_more_than_the_chunk_is_refused_without_inflating_it() -> None:
    bomb = zlib.compress(bytes(10**8), 9)
    with pytest.raises(Damaged, match="256 bytes"):
        Codec("deflate").decode(bomb, np.dtype("<f4"), (64,))


def test_blosc_of_a_given_array_is_what_numcodecs_makes_of_it() -> None:
    values = smooth("<f8", (3000,))
    assert Codec("blosc", 5).encode(values) == blosc.compress(values, b"zstd", 5, blosc.BITSHUFFLE)
