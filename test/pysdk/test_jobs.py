"""Work on many objects, and the jobs that do it."""

import datetime

import pytest
from aistore.sdk.errors import AISError, JobInfoNotFound
from aistore.sdk.multiobj import ObjectRange
from conftest import listed, put, wait

ALL = [f"o-{i:03}.bin" for i in range(100)]


@pytest.fixture
def hundred(bucket):
    put(bucket, *ALL)
    return bucket


def test_delete_names(client, hundred):
    wait(client, hundred.objects(obj_names=ALL[:60] + ["not-there"]).delete())
    assert listed(hundred) == ALL[60:]


def test_delete_range(client, hundred):
    rng = ObjectRange("o-", 10, 89, pad_width=3, step=2, suffix=".bin")
    wait(client, hundred.objects(obj_range=rng).delete())
    assert listed(hundred) == sorted(set(ALL) - set(rng))


def test_delete_template(client, hundred):
    wait(client, hundred.objects(obj_template="o-{000..049}.bin").delete())
    assert listed(hundred) == ALL[50:]
    wait(client, hundred.objects(obj_template="o-09").delete())  # no range: a prefix
    assert listed(hundred) == ALL[50:90]


def test_wrong_template(hundred):
    for bad in ("o-{0..}", "o-{a..b}", "o-{1..2", "o-{0..99999999999}"):
        with pytest.raises(AISError) as failed:
            hundred.objects(obj_template=bad).delete()
        assert failed.value.status_code in (400, 413) and "template" in failed.value.message
    assert listed(hundred) == ALL


def test_copy_names_range_template(client, hundred, other):
    for kwargs, want in (
        ({"obj_names": ALL[:5]}, ALL[:5]),
        ({"obj_range": ObjectRange("o-", 5, 9, pad_width=3, suffix=".bin")}, ALL[5:10]),
        ({"obj_template": "o-{010..019}.bin"}, ALL[10:20]),
        ({"obj_template": "o-02"}, ALL[20:30]),
    ):
        ids = hundred.objects(**kwargs).copy(other, prepend="c/")
        assert len(ids) == 1
        wait(client, ids[0], kind="copy-listrange")
        for n in want:
            assert other.object("c/" + n).get_reader().read_all() == n.encode()
    assert listed(other) == ["c/" + n for n in ALL[:30]]
    ids = hundred.objects(obj_names=ALL).copy(other, dry_run=True)
    wait(client, ids[0])
    assert listed(other) == ["c/" + n for n in ALL[:30]]


def test_copy_of_missing_fails(client, hundred, other):
    job_id = hundred.objects(obj_names=["missing"]).copy(other)[0]
    result = client.job(job_id=job_id).wait(verbose=False)
    assert not result.success and "missing" in result.error


def test_group(hundred):
    group = hundred.objects(obj_template="o-{000..004}.bin")
    assert group.list_names() == ALL[:5]
    assert [o.name for o in group.list_all_objects_iter()] == ALL[:5]


def test_status_and_details(client, hundred):
    before = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=1)
    job_id = hundred.objects(obj_template="o-{000..049}.bin").delete()
    wait(client, job_id)
    job = client.job(job_id=job_id)
    status = job.status()
    assert status.uuid == job_id and status.end_time > 0 and not status.aborted and not status.err
    details = job.get_details()
    assert set(details.root) == set(client.cluster().get_info().tmap)
    snaps = details.list_snapshots()
    assert sum(s.stats.objects for s in snaps) == 50 and details.all_idle() and details.get_num_workers() > 0
    assert all(s.kind == "delete-listrange" and s.bucket.name == hundred.name for s in snaps)
    assert job.get_total_time() is not None
    assert len(job.get_within_timeframe(start_time=before)) == len(snaps)
    assert job.wait_for_idle(verbose=False).success and job.wait_single_node(verbose=False).success
    assert job_id in [s.uuid for s in client.cluster().list_jobs_status()]
    assert job_id in [s.uuid for s in client.cluster().list_jobs_status(job_kind="delete-listrange")]
    assert job_id not in [s.uuid for s in client.cluster().list_jobs_status(job_kind="copy-bck")]
    target = snaps[0].unpack_glob_id() and next(iter(details.root))
    assert job_id in [s.uuid for s in client.cluster().list_jobs_status(target_id=target)]
    assert not [j for j in client.cluster().list_running_jobs() if job_id in j]
    assert client.cluster().list_running_jobs(job_kind="lru") == []


def test_unknown_jobs(client):
    with pytest.raises(AISError) as failed:
        client.job(job_id="nothere").status()
    assert failed.value.status_code == 404
    with pytest.raises(JobInfoNotFound):
        client.job(job_id="nothere").wait(verbose=False)
    with pytest.raises(AISError) as failed:
        client.job(job_kind="lru").start()
    assert failed.value.status_code == 501
    with pytest.raises(AISError) as failed:
        client.job(job_kind="nonsense").start()
    assert failed.value.status_code == 400


def test_abort(client, hundred):
    job_id = hundred.objects(obj_names=ALL).delete()
    client.job(job_id=job_id).abort()  # whether it was faster or not
    result = client.job(job_id=job_id).wait(verbose=False)
    assert result.success or "stopped" in result.error
    with pytest.raises(AISError):
        client.job(job_id="nothere").abort()
