"""obstore: Rust's object_store, which is also below polars, deltalake, Lance and DataFusion."""
import obstore
import pytest
from conftest import ENDPOINT, noise
from obstore.store import S3Store


@pytest.fixture
def store(bucket):
    return S3Store(bucket, endpoint=ENDPOINT, client_options={"allow_http": ENDPOINT.startswith("http:")}, retry_config={"max_retries": 0})


def test_objects(store):
    names = ["plain", "a b", "a+b", "a%20b", "100%", "ü/日本", "q?x=1&y#z", "~!*'()"]
    for name in names:
        obstore.put(store, "k/" + name, name.encode())
        obstore.copy(store, "k/" + name, "c/" + name)
        obstore.rename(store, "c/" + name, "r/" + name)
        assert bytes(obstore.get(store, "r/" + name).bytes()) == name.encode()
    listed = [o["path"] for page in obstore.list(store, "k") for o in page]
    assert listed == sorted(("k/" + n for n in names), key=str.encode)
    assert [o["path"] for page in obstore.list(store, "k", offset=listed[2]) for o in page] == listed[3:]
    assert not [o for page in obstore.list(store, "c") for o in page]
    obstore.delete(store, listed)
    assert not [o for page in obstore.list(store, "k") for o in page]


def test_parts(store):
    body = noise(12 << 20)
    obstore.put(store, "large", body, chunk_size=5 << 20, use_multipart=True)
    assert bytes(obstore.get(store, "large").bytes()) == body
    starts, ends = [0, 100, 8 << 20], [10, 200, (8 << 20) + 7]
    assert [bytes(b) for b in obstore.get_ranges(store, "large", starts=starts, ends=ends)] == [body[a:b] for a, b in zip(starts, ends)]
    assert bytes(obstore.get(store, "large", options={"range": {"suffix": 9}}).bytes()) == body[-9:]


def test_conditions(store):
    obstore.put(store, "once", b"1", mode="create")
    with pytest.raises(obstore.exceptions.AlreadyExistsError):
        obstore.put(store, "once", b"2", mode="create")
    tag = {"e_tag": obstore.head(store, "once")["e_tag"]}
    obstore.put(store, "once", b"3", mode=tag)
    with pytest.raises(obstore.exceptions.PreconditionError):
        obstore.put(store, "once", b"4", mode=tag)
    assert bytes(obstore.get(store, "once").bytes()) == b"3"
