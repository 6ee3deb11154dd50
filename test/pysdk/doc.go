// Package pysdk checks that AIStore's published Python SDK, unmodified, works with this project: the pytest files
// beside it run against a cluster of real processes.
//
// go test ./test/pysdk does everything: it makes a virtual environment in .venv, builds aisnode and starts the
// cluster. What the SDK offers and the project does not (ETL, dsort, batch reads, archives, other clouds) must be
// refused clearly, which is checked too.
package pysdk
