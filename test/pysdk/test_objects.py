"""Objects: put, get, ranges, file readers, head, custom properties, append, copy, delete, direct reads."""

import io
import os

import pytest
import requests
import xxhash
from aistore.sdk.errors import ErrBckNotFound, ErrObjNotFound, AISError
from conftest import client_of, listed, put

SIZES = [0, 1, 4096, 128 * 1024, 128 * 1024 + 1, 3 * 1024 * 1024 + 17]


@pytest.mark.parametrize("size", SIZES)
def test_put_get(bucket, size):
    data = os.urandom(size)
    obj = bucket.object(f"dir/o-{size}")
    obj.get_writer().put_content(data)
    reader = obj.get_reader()
    assert reader.read_all() == data
    assert b"".join(reader) == data
    assert reader.raw().read() == data
    assert reader.attributes.size == size
    assert obj.props.checksum_value == xxhash.xxh64(data).hexdigest()


def test_overwrite(bucket):
    obj = bucket.object("o")
    obj.get_writer().put_content(b"first")
    version = obj.props.obj_version
    obj.get_writer().put_content(b"second, longer")
    assert obj.get_reader().read_all() == b"second, longer"
    assert obj.props.obj_version != version


def test_put_file_and_files(bucket, tmp_path):
    for n in ("a.txt", "b.txt", "c.bin"):
        (tmp_path / n).write_bytes(n.encode() * 1000)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "d.txt").write_text("deep")
    bucket.object("single").get_writer().put_file(tmp_path / "a.txt")
    assert bucket.object("single").get_reader().read_all() == b"a.txt" * 1000
    bucket.put_files(tmp_path, recursive=True, prepend="tree/")
    assert listed(bucket, prefix="tree/") == ["tree/a.txt", "tree/b.txt", "tree/c.bin", "tree/sub/d.txt"]


@pytest.mark.parametrize("key", ["a b", "ünï/çødé", "per%25cent", "q?mark&amp=1", "plus+", "hash#tag", "quote\"'", "~tilde", "a//b", "日本"])
def test_names(bucket, key):
    obj = bucket.object(key)
    obj.get_writer().put_content(key.encode())
    assert obj.get_reader().read_all() == key.encode()
    assert listed(bucket) == [key]
    obj.delete()
    assert listed(bucket) == []


def test_name_and_name_below_it(bucket):
    put(bucket, "a", "a/b", "a/b/c")
    assert listed(bucket) == ["a", "a/b", "a/b/c"]
    bucket.object("a/b").delete()
    assert bucket.object("a/b/c").get_reader().read_all() == b"a/b/c"


def test_ranges(bucket):
    data = os.urandom(300_000)
    obj = bucket.object("o")
    obj.get_writer().put_content(data)
    for text, part in (
        ("bytes=0-0", data[:1]), ("bytes=5-9", data[5:10]), ("bytes=299990-", data[299990:]),
        ("bytes=-10", data[-10:]), ("bytes=131000-140000", data[131000:140001]), ("bytes=100-999999", data[100:]),
    ):
        assert obj.get_reader(byte_range=text).read_all() == part, text
    with pytest.raises(AISError) as failed:
        obj.get_reader(byte_range="bytes=300000-").read_all()
    assert failed.value.status_code == 416


def test_multi_range(bucket, client):
    data = os.urandom(10_000)
    bucket.object("o").get_writer().put_content(data)
    r = requests.get(bucket.object("o").get_url(), headers={"Range": "bytes=0-9,5000-5009,-5"}, timeout=10)
    assert r.status_code == 206 and r.headers["Content-Type"].startswith("multipart/byteranges")
    for part in (data[:10], data[5000:5010], data[-5:]):
        assert part in r.content


def test_file_reader(bucket):
    data = os.urandom(1_000_000)
    obj = bucket.object("o")
    obj.get_writer().put_content(data)
    with obj.get_reader(chunk_size=64 * 1024).as_file() as f:
        assert f.read(10) == data[:10]
        assert f.read(500_000) == data[10:500_010]
        assert f.read() == data[500_010:]
        assert f.read() == b""
    out = io.BytesIO()
    obj.get_reader(writer=out)
    assert out.getvalue() == data


def test_parallel_download(bucket):
    data = os.urandom(5_000_000)
    obj = bucket.object("o")
    obj.get_writer().put_content(data)
    with obj.get_reader(num_workers=3, chunk_size=1_000_000).read_all() as got:
        assert bytes(got.buf) == data


def test_head(bucket):
    obj = bucket.object("dir/o")
    obj.get_writer().put_content(b"12345")
    props = obj.head("checksum,atime,version,copies,custom,location,last-modified,etag")
    assert props.size == 5 and props.present and props.name == "dir/o"
    assert props.checksum_type == "xxhash" and props.checksum_value == xxhash.xxh64(b"12345").hexdigest()
    assert props.obj_version and props.etag and props.last_modified and props.location
    assert props.bucket_name == bucket.name
    assert obj.head().size == 5
    with pytest.raises(AISError) as failed:
        bucket.object("none").head()
    assert failed.value.status_code == 404


def test_custom_props(bucket):
    obj = bucket.object("o")
    obj.get_writer().put_content(b"x")
    obj.get_writer().set_custom_props({"one": "1", "two": "2"})
    assert obj.props.custom_metadata == {"one": "1", "two": "2"}
    obj.get_writer().set_custom_props({"two": "two", "three": "3"})
    assert obj.props.custom_metadata == {"one": "1", "two": "two", "three": "3"}
    obj.get_writer().set_custom_props({"only": "me"}, replace_existing=True)
    assert obj.props.custom_metadata == {"only": "me"}
    assert obj.get_reader().read_all() == b"x"
    with pytest.raises(ErrObjNotFound):
        bucket.object("none").get_writer().set_custom_props({"a": "b"})


def test_append(bucket):
    writer = bucket.object("log").get_writer()
    handle = writer.append_content(b"one ")
    assert handle
    handle = writer.append_content(b"two ", handle=handle)
    assert listed(bucket) == []  # nothing is seen before the flush
    writer.append_content(b"", handle=handle, flush=True)
    assert bucket.object("log").get_reader().read_all() == b"one two "
    with pytest.raises(AISError):
        writer.append_content(b"x", handle="nonsense")


def test_append_as_file(bucket):
    with bucket.object("f").get_writer().as_file(mode="w") as f:
        for i in range(20):
            f.write(f"line {i}\n".encode() * 1000)
    want = b"".join(f"line {i}\n".encode() * 1000 for i in range(20))
    assert bucket.object("f").get_reader().read_all() == want
    bucket.object("f").get_writer().set_custom_props({"k": "v"})
    with bucket.object("f").get_writer().as_file(mode="a") as f:  # keeps what is there
        f.write(b"one more\n")
        f.flush()
        f.write(b"and another\n")
    assert bucket.object("f").get_reader().read_all() == want + b"one more\nand another\n"
    assert bucket.object("f").props.custom_metadata == {"k": "v"}
    with bucket.object("f").get_writer().as_file(mode="w") as f:
        f.write(b"anew")
    assert bucket.object("f").get_reader().read_all() == b"anew"


def test_copy_object(bucket, other):
    data = os.urandom(200_000)
    bucket.object("from").get_writer().put_content(data)
    bucket.object("from").get_writer().set_custom_props({"k": "v"})
    for i in range(12):  # to every target
        to = other.object(f"dir/to-{i}")
        bucket.object("from").copy(to)
        assert to.get_reader().read_all() == data
        assert to.props.custom_metadata == {"k": "v"}
    with pytest.raises(ErrObjNotFound):
        bucket.object("none").copy(other.object("x"))


def test_delete(bucket):
    put(bucket, "a", "b")
    bucket.object("a").delete()
    assert listed(bucket) == ["b"]
    for call in (bucket.object("a").get_reader().read_all, bucket.object("a").delete):
        with pytest.raises(ErrObjNotFound) as failed:
            call()
        assert failed.value.status_code == 404


def test_no_such_bucket(client, name):
    obj = client.bucket(name).object("o")
    for call in (obj.get_reader().read_all, obj.delete, lambda: obj.get_writer().put_content(b"x")):
        with pytest.raises(ErrBckNotFound):
            call()


def test_direct(bucket):
    """The SDK picks the target by AIStore's own hash, which is not ours: the target sends it on."""
    names = [f"direct-{i}" for i in range(40)]
    put(bucket, *names)
    for n in names:
        assert bucket.object(n).get_reader(direct=True).read_all() == n.encode()
    with pytest.raises(ErrObjNotFound):
        bucket.object("none").get_reader(direct=True).read_all()


def test_object_url(client, bucket):
    assert client.get_object_from_url(f"ais://{bucket.name}/dir/x").get_semantic_url() == f"ais://{bucket.name}/dir/x"
    put(bucket, "u")
    assert requests.get(bucket.object("u").get_url(), timeout=10).content == b"u"
    assert [requests.get(u, timeout=10).content for u in bucket.list_urls()] == [b"u"]


def test_many_clients(endpoint, bucket):
    """Every client makes its own connections; a 307 is followed by each."""
    for i in range(5):
        c = client_of(endpoint)
        put(c.bucket(bucket.name), f"c{i}")
    assert listed(bucket) == [f"c{i}" for i in range(5)]
