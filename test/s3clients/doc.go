// Package s3clients checks that published S3 clients work unmodified and with their default settings: the pytest files
// beside it run boto3, the aws command line, s3fs, pyarrow, the client below the PyTorch connector, obstore, rclone, s3cmd, s5cmd
// and, where it is installed, restic, over plain HTTP and over TLS, against a cluster of real processes.
//
// go test ./test/s3clients makes virtual environments in .venv, builds aisnode and starts the cluster.
// AIS_LONG=1 (make test-clients) adds PyTorch itself with its data sets and checkpoints, Spark with Hadoop's s3a, and larger files.
package s3clients
