"""Spark with Hadoop's s3a: data sets with partitions, overwritten and appended to, and the file system below, with its defaults."""
import json
import os
import subprocess
from urllib.parse import urlparse

import boto3
import pytest
from conftest import ENDPOINT, noise
from pyspark.sql import SparkSession

ROWS = 100_000


@pytest.fixture(scope="module")
def spark(tmp_path_factory):
    jars, work = os.environ["SPARK_S3A_JARS"], tmp_path_factory.mktemp("spark")
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    java = ""
    if os.environ.get("S3_CA"):
        store = work / "trust.p12"
        subprocess.run(["keytool", "-importcert", "-noprompt", "-alias", "ais", "-file", os.environ["S3_CA"], "-keystore", str(store), "-storepass", "changeit"], check=True, capture_output=True)
        java = f"-Djavax.net.ssl.trustStore={store} -Djavax.net.ssl.trustStorePassword=changeit"
    session = (
        SparkSession.builder.master("local[2]").appName("s3a")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.local.dir", str(work))
        .config("spark.sql.warehouse.dir", str(work / "warehouse"))
        .config("spark.sql.shuffle.partitions", "4")
        .config("spark.driver.extraClassPath", os.path.join(jars, "*"))
        .config("spark.driver.extraJavaOptions", java)
        .config("spark.hadoop.fs.s3a.endpoint", ENDPOINT)
        .config("spark.hadoop.fs.s3a.path.style.access", "true")
        .config("spark.hadoop.fs.s3a.connection.ssl.enabled", str(urlparse(ENDPOINT).scheme == "https").lower())
        .getOrCreate()
    )
    yield session
    session.stop()


@pytest.fixture
def files(spark, bucket):
    """Hadoop's FileSystem of the bucket."""
    hadoop = spark._jvm.org.apache.hadoop.fs
    return hadoop, hadoop.Path(f"s3a://{bucket}/").getFileSystem(spark._jsc.hadoopConfiguration())


def table(spark, first, rows):
    return spark.range(first, first + rows).selectExpr("id", "id % 4 AS part", "concat('row ', id) AS text")


def test_dataset(spark, bucket):
    where = f"s3a://{bucket}/set"
    table(spark, 0, ROWS).write.partitionBy("part").parquet(where)
    back = spark.read.parquet(where)
    assert back.count() == ROWS
    assert sorted(r.id for r in back.where("part = 2 AND id < 100").collect()) == [i for i in range(100) if i % 4 == 2]
    table(spark, ROWS, 1000).write.mode("append").partitionBy("part").parquet(where)
    assert spark.read.parquet(where).count() == ROWS + 1000
    table(spark, 0, 500).write.mode("overwrite").partitionBy("part").parquet(where)
    rows = spark.read.parquet(where).orderBy("id").collect()
    assert [(r.id, r.part, r.text) for r in rows] == [(i, i % 4, f"row {i}") for i in range(500)]
    with pytest.raises(Exception, match="already exists|PATH_ALREADY_EXISTS"):
        table(spark, 0, 5).write.parquet(where)


def test_text(spark, bucket):
    where = f"s3a://{bucket}/text with ü"
    table(spark, 0, 1000).select("text").write.text(where)
    assert spark.sparkContext.textFile(where).count() == 1000
    table(spark, 0, 1000).write.option("header", True).csv(where + ".csv")
    assert spark.read.option("header", True).csv(where + ".csv").count() == 1000
    table(spark, 0, 1000).write.json(where + ".json")
    assert spark.read.json(where + ".json").selectExpr("sum(id)").first()[0] == 499500


def test_magic_committer(spark, bucket):
    """The committer of s3a: tasks upload parts, the job completes the uploads."""
    where = f"s3a://{bucket}/magic"
    session = spark.newSession()
    session.conf.set("spark.sql.sources.commitProtocolClass", "org.apache.spark.internal.io.cloud.PathOutputCommitProtocol")
    session.conf.set("spark.sql.parquet.output.committer.class", "org.apache.spark.internal.io.cloud.BindingParquetOutputCommitter")
    session.conf.set("fs.s3a.committer.name", "magic")
    table(session, 0, 2000).write.parquet(where)
    assert session.read.parquet(where).count() == 2000
    manifest = boto3.client("s3", endpoint_url=ENDPOINT).get_object(Bucket=bucket, Key="magic/_SUCCESS")["Body"].read()
    assert json.loads(manifest)["committer"] == "magic"  # the classic committer leaves an empty one


def test_files(spark, files, bucket):
    hadoop, fs = files
    path = lambda p: hadoop.Path(f"s3a://{bucket}/{p}")
    assert fs.mkdirs(path("a/b/c")) and fs.getFileStatus(path("a/b")).isDirectory()
    data = noise(40 << 20)
    out = fs.create(path("a/large"))  # in parts
    for i in range(0, len(data), 1 << 20):
        out.write(bytearray(data[i : i + (1 << 20)]))
    out.close()
    assert fs.getFileStatus(path("a/large")).getLen() == len(data)
    stream = fs.open(path("a/large"))
    for at in (0, 17, len(data) - 5, 20 << 20):
        stream.seek(at)
        assert stream.read() == data[at]
    stream.close()
    assert fs.rename(path("a"), path("z"))
    assert not fs.exists(path("a")) and fs.getFileStatus(path("z/large")).getLen() == len(data)
    assert sorted(s.getPath().getName() for s in fs.listStatus(path("z"))) == ["b", "large"]
    with pytest.raises(Exception, match="FileAlreadyExistsException"):
        fs.create(path("z/large"), False).close()
    summary = fs.getContentSummary(path("z"))
    assert (summary.getFileCount(), summary.getLength()) == (1, len(data))
    assert fs.delete(path("z"), True) and not fs.exists(path("z"))
