"""Lists of objects: pages, prefixes, start_after, properties, flags, iterators."""

import pytest
from aistore.sdk.errors import AISError, ErrBckNotFound
from aistore.sdk.list_object_flag import ListObjectFlag
from conftest import listed, put

NAMES = sorted([f"a/{i:03}" for i in range(120)] + [f"b/c/{i}" for i in range(7)] + ["b/d", "top", "zz/é", "zz/日"], key=lambda s: s.encode())


@pytest.fixture(scope="module")
def full(client):
    bck = client.bucket("py-lists").create(exist_ok=True)
    put(bck, *NAMES)
    yield bck
    bck.delete()


@pytest.mark.parametrize("page", [0, 1, 3, 50, 131, 132, 1000])
def test_page_sizes(full, page):
    if page != 1:
        assert listed(full, page_size=page) == NAMES
    names, token, uuid = [], "", ""
    for _ in range(200):
        got = full.list_objects(page_size=page, continuation_token=token, uuid=uuid)
        assert page == 0 or len(got.entries) <= page
        names += [e.name for e in got.entries]
        token, uuid = got.continuation_token, got.uuid
        if not token:
            break
    assert names == NAMES and uuid


def test_iterators(full):
    assert [e.name for e in full.list_objects_iter(page_size=10)] == NAMES
    assert [o.name for o in full.list_all_objects_iter(prefix="b/")] == [n for n in NAMES if n.startswith("b/")]
    assert [o.props_cached.size for o in full.list_all_objects_iter(prefix="a/")] == [5] * 120


def test_prefix_and_start_after(full):
    assert listed(full, prefix="a/00") == [f"a/{i:03}" for i in range(10)]
    assert listed(full, prefix="none") == []
    assert listed(full, start_after="a/118") == [n for n in NAMES if n > "a/118"]
    assert listed(full, prefix="b/", start_after="b/c/5", page_size=2) == ["b/c/6", "b/d"]
    assert listed(full, start_after="~") == []


def test_props(full):
    e = full.list_objects(prefix="top", props="name,size,checksum,version,atime,location,copies,custom").entries[0]
    assert e.name == "top" and e.size == 3 and len(e.checksum) == 16 and e.version and e.atime and e.location.startswith("t[")
    assert e.is_cached() and e.is_ok() and e.copies == 1
    assert e.object.get_reader().read_all() == b"top"
    e = full.list_objects(prefix="top", props="name").entries[0]
    assert e.size == 0 and e.checksum == ""
    e = full.list_objects(prefix="top").entries[0]
    assert e.size == 3 and e.checksum == ""
    with pytest.raises(AISError) as failed:
        full.list_objects(props="colour")
    assert failed.value.status_code == 400 and "colour" in failed.value.message


def test_flags(full):
    assert listed(full, flags=[ListObjectFlag.NO_RECURSION]) == ["a/", "b/", "top", "zz/"]
    assert listed(full, flags=[ListObjectFlag.NO_RECURSION], page_size=2) == ["a/", "b/", "top", "zz/"]
    assert listed(full, prefix="b/", flags=[ListObjectFlag.NO_RECURSION]) == ["b/c/", "b/d"]
    assert listed(full, flags=[ListObjectFlag.NO_RECURSION, ListObjectFlag.NO_DIRS]) == ["top"]
    assert [e.size for e in full.list_all_objects(flags=[ListObjectFlag.NAME_ONLY])] == [0] * len(NAMES)
    assert [e.size for e in full.list_all_objects(prefix="top", flags=[ListObjectFlag.NAME_SIZE])] == [3]
    assert listed(full, flags=[ListObjectFlag.CACHED]) == NAMES
    for outside in (ListObjectFlag.NOT_CACHED, ListObjectFlag.DIFF, ListObjectFlag.NBI):
        with pytest.raises(AISError) as failed:
            full.list_objects(flags=[outside])
        assert failed.value.status_code == 501


def test_target(client, full):
    targets = list(client.cluster().get_info().tmap)
    shares = [listed(full, target=t) for t in targets]
    assert sorted((n for s in shares for n in s), key=lambda s: s.encode()) == NAMES
    assert all(shares)
    with pytest.raises(AISError) as failed:
        full.list_objects(target="nobody")
    assert failed.value.status_code == 400 and "target" in failed.value.message


def test_wrong_input(client, full, name):
    for kwargs, field in (({"continuation_token": "made up"}, "continuation_token"), ({"page_size": -1}, "pagesize"), ({"prefix": "x" * 2000}, "prefix")):
        with pytest.raises(AISError) as failed:
            full.list_objects(**kwargs)
        assert failed.value.status_code == 400 and field in failed.value.message
    with pytest.raises(ErrBckNotFound):
        client.bucket(name).list_objects()
