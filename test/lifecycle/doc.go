// Package lifecycle tests on real processes what becomes of nodes: maintenance, shutdown, decommissioning, joining, and the end of
// whole clusters.
package lifecycle
