"""Buckets: create, list, head, summary, info, properties, rename, copy, delete, and the SDK's classes of errors."""

import json

import pytest
from aistore.sdk.errors import AISError, ErrBckAlreadyExists, ErrBckNotFound, InvalidBckProvider
from aistore.sdk.namespace import Namespace
from conftest import listed, put, wait


def test_create_list_delete(client, name):
    bck = client.bucket(name)
    assert bck.create() is bck
    with pytest.raises(ErrBckAlreadyExists) as failed:
        bck.create()
    assert failed.value.status_code == 409
    bck.create(exist_ok=True)
    found = [b for b in client.cluster().list_buckets() if b.name == name]
    assert len(found) == 1 and found[0].provider == "ais"
    assert name in [b.name for b in client.cluster().list_buckets(provider="")]
    assert client.cluster().list_buckets(provider="aws") == []
    bck.delete()
    with pytest.raises(ErrBckNotFound) as failed:
        bck.delete()
    assert failed.value.status_code == 404 and name in failed.value.message
    bck.delete(missing_ok=True)
    assert name not in [b.name for b in client.cluster().list_buckets()]


def test_same_name_again_is_empty(client, name):
    bck = client.bucket(name).create()
    put(bck, "a", "b")
    bck.delete()
    bck.create()
    assert listed(bck) == []
    bck.delete()


def test_head(client, bucket, name):
    headers = bucket.head()
    props = json.loads(headers["Ais-Bucket-Props"])
    assert props["provider"] == "ais" and props["checksum"]["type"] == "xxhash"
    assert headers["ais-durability"] == "local"
    with pytest.raises(AISError) as failed:  # a reply to HEAD has no body to find a class in
        client.bucket(name + "-none").head()
    assert failed.value.status_code == 404


def test_summary(bucket):
    put(bucket, *[f"a/{i}" for i in range(20)], size=100)
    put(bucket, "b", size=1000)
    summ = bucket.summary()
    assert summ["name"] == bucket.name
    assert int(summ["ObjCount"]["obj_count_present"]) == 21
    assert int(summ["TotalSize"]["size_all_present_objs"]) == 3000
    assert int(summ["TotalSize"]["size_all_remote_objs"]) == 0
    assert summ["ObjSize"]["obj_min_size"] == 100 and summ["ObjSize"]["obj_max_size"] == 1000
    assert int(bucket.summary(prefix="a/")["TotalSize"]["size_all_present_objs"]) == 2000
    assert int(bucket.summary(prefix="none")["ObjCount"]["obj_count_present"]) == 0


def test_info(bucket):
    put(bucket, "a/1", "a/2", "b", size=10)
    props, summ = bucket.info()
    assert json.loads(props)["provider"] == "ais"
    assert int(summ["ObjCount"]["obj_count_present"]) == 3
    _, summ = bucket.info(prefix="a/")
    assert int(summ["ObjCount"]["obj_count_present"]) == 2


def test_rename(client, bucket, name):
    put(bucket, *[f"o{i}" for i in range(30)])
    wait(client, bucket.rename(name + "-new"))
    assert bucket.name == name + "-new"
    assert len(listed(bucket)) == 30
    assert bucket.object("o7").get_reader().read_all() == b"o7"
    with pytest.raises(ErrBckNotFound):
        client.bucket(name).object("o7").get_reader().read_all()
    with pytest.raises(ErrBckNotFound):
        client.bucket(name).rename(name + "-x")


def test_rename_to_existing(bucket, other):
    with pytest.raises(ErrBckAlreadyExists):
        bucket.rename(other.name)


def test_copy(client, bucket, other):
    put(bucket, *[f"dir/o{i:02}.txt" for i in range(40)], "plain")
    wait(client, bucket.copy(other))
    assert listed(other) == listed(bucket)
    assert other.object("dir/o07.txt").get_reader().read_all() == b"dir/o07.txt"
    wait(client, bucket.copy(other, prefix_filter="dir/o0", prepend="new/", ext={"txt": "md"}))
    assert listed(other, prefix="new/") == [f"new/dir/o{i:02}.md" for i in range(10)]
    job = client.job(job_id=bucket.copy(other, prepend="dry/", dry_run=True))
    assert job.wait(verbose=False).success
    assert listed(other, prefix="dry/") == []


def test_copy_creates_the_destination(client, bucket, name):
    put(bucket, "a", "b")
    to = client.bucket(name + "-made")
    wait(client, bucket.copy(to))
    assert listed(to) == ["a", "b"]
    to.delete()


def test_namespace(client, name):
    spaced = client.bucket(name, namespace=Namespace(name="ns1")).create()
    put(spaced, "inside")
    plain = client.bucket(name).create()
    assert listed(spaced) == ["inside"] and listed(plain) == []
    wait(client, spaced.copy(plain))
    assert listed(plain) == ["inside"]
    spaced.delete()
    assert listed(plain) == ["inside"]
    plain.delete()


def test_wrong_names(client):
    for bad in ("x" * 65, "sp ace", "dots..dots"):
        with pytest.raises(AISError) as failed:
            client.bucket(bad).create()
        assert failed.value.status_code == 400 and "bucket name" in failed.value.message


def test_remote_providers_are_refused(client, bucket, name):
    with pytest.raises(InvalidBckProvider):
        client.bucket(name, provider="aws").create()
    with pytest.raises(InvalidBckProvider):
        bucket.evict()
    with pytest.raises(AISError) as failed:
        client.bucket(name, provider="aws").list_objects()
    assert failed.value.status_code == 501 and "aws" in failed.value.message


def test_outside_is_refused_by_name(client, bucket, other):
    put(bucket, "shard.tar")
    group = bucket.objects(obj_names=["shard.tar"])
    for call in (
        lambda: group.transform(other, etl_name="none"),
        lambda: group.archive("x.tar"),
        lambda: bucket.transform("none", other),
        lambda: bucket.create_inventory(),
        lambda: bucket.object("shard.tar").promote("/tmp"),
        lambda: bucket.object("shard.tar").blob_download(),
        lambda: bucket.object("shard.tar").multipart_upload().create(),
        lambda: bucket.list_archive("shard.tar"),
        lambda: client.cluster().list_etls(),
        lambda: client.dsort("x").abort(),
    ):
        with pytest.raises(AISError) as failed:
            call()
        assert failed.value.status_code in (400, 501), failed.value
