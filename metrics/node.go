package metrics

import "time"

// A Disk is one mountpath as metrics show it. Counts are since the process started.
type Disk struct {
	Mountpath          string
	Enabled, Full      bool
	Slow, Out          bool // its calls take much longer than usual; it is given no names
	BadReads           uint64
	Total, Used, Avail uint64 // bytes
	Reads, ReadBytes   uint64
	Writes, WriteBytes uint64
	Syncs, Errors      uint64
	ReadTime           time.Duration // summed over Reads
	WriteTime          time.Duration
	SyncTime           time.Duration
}

// Disks shows what read returns: capacity and I/O of each mountpath.
func (r *Registry) Disks(read func() []Disk) {
	type column struct {
		Family
		value func(*Disk) float64
	}
	level := func(name, help string, f func(*Disk) float64) column {
		return column{Family{name, help, Level, []string{"mountpath"}}, f}
	}
	count := func(name, help string, f func(*Disk) float64) column {
		return column{Family{name, help, Count, []string{"mountpath"}}, f}
	}
	columns := []column{
		level("ais_mountpath_enabled", "1 while the mountpath serves.", func(d *Disk) float64 { return flag(d.Enabled) }),
		level("ais_mountpath_full", "1 while the mountpath takes no writes for want of space.", func(d *Disk) float64 { return flag(d.Full) }),
		level("ais_mountpath_slow", "1 while calls take much longer than usual, and than on other disks.", func(d *Disk) float64 { return flag(d.Slow) }),
		level("ais_mountpath_out_of_service", "1 while the mountpath is given no names: failed, disabled or being detached.", func(d *Disk) float64 { return flag(d.Out) }),
		level("ais_mountpath_unreadable_files", "Files that the disk could not give.", func(d *Disk) float64 { return float64(d.BadReads) }),
		level("ais_mountpath_size_bytes", "Size of the file system.", func(d *Disk) float64 { return float64(d.Total) }),
		level("ais_mountpath_used_bytes", "Bytes in use on the file system.", func(d *Disk) float64 { return float64(d.Used) }),
		level("ais_mountpath_avail_bytes", "Bytes that may still be written.", func(d *Disk) float64 { return float64(d.Avail) }),
		count("ais_mountpath_reads_total", "Reads.", func(d *Disk) float64 { return float64(d.Reads) }),
		count("ais_mountpath_read_bytes_total", "Bytes read.", func(d *Disk) float64 { return float64(d.ReadBytes) }),
		count("ais_mountpath_read_seconds_total", "Time spent in reads.", func(d *Disk) float64 { return d.ReadTime.Seconds() }),
		count("ais_mountpath_writes_total", "Writes.", func(d *Disk) float64 { return float64(d.Writes) }),
		count("ais_mountpath_written_bytes_total", "Bytes written.", func(d *Disk) float64 { return float64(d.WriteBytes) }),
		count("ais_mountpath_write_seconds_total", "Time spent in writes.", func(d *Disk) float64 { return d.WriteTime.Seconds() }),
		count("ais_mountpath_syncs_total", "Syncs of files and directories.", func(d *Disk) float64 { return float64(d.Syncs) }),
		count("ais_mountpath_sync_seconds_total", "Time spent in syncs.", func(d *Disk) float64 { return d.SyncTime.Seconds() }),
		count("ais_mountpath_errors_total", "I/O errors.", func(d *Disk) float64 { return float64(d.Errors) }),
	}
	families := make([]Family, len(columns))
	for i, c := range columns {
		families[i] = c.Family
	}
	r.Families(families, func(emit Emit) {
		for _, d := range read() {
			for _, c := range columns {
				emit(c.Name, c.value(&d), d.Mountpath)
			}
		}
	})
}

// ControlPlane is a node's part in the control plane as metrics show it.
type ControlPlane struct {
	State        string // of raft: "leader", "follower", "candidate"; "none" on a node that does not vote
	Term         uint64
	LastIndex    uint64
	CommitIndex  uint64
	AppliedIndex uint64
	LastContact  time.Duration // since the leader was heard; 0 on the leader
	MapVersion   uint64
	LeaseLeft    time.Duration
	Heartbeats   uint64 // answered
	Missed       uint64 // heartbeats that nobody answered
	Proposals    uint64 // committed by this node as primary
	Elections    uint64 // times this node became primary
}

// ControlPlane shows what read returns.
func (r *Registry) ControlPlane(read func() ControlPlane) {
	states := []string{"leader", "follower", "candidate", "none"}
	families := []Family{
		{"ais_raft_state", "1 for the state this node is in.", Level, []string{"state"}},
		{"ais_raft_term", "Term of the replicated log.", Level, nil},
		{"ais_raft_last_index", "Index of the last entry of the log.", Level, nil},
		{"ais_raft_commit_index", "Index of the last committed entry.", Level, nil},
		{"ais_raft_applied_index", "Index of the last applied entry.", Level, nil},
		{"ais_raft_last_contact_seconds", "Time since the leader was heard.", Level, nil},
		{"ais_cluster_map_version", "Version of the cluster map in use.", Level, nil},
		{"ais_lease_left_seconds", "Time for which this node may serve as owner without hearing from the primary.", Level, nil},
		{"ais_heartbeats_total", "Heartbeats that were answered.", Count, nil},
		{"ais_heartbeats_missed_total", "Heartbeats that nobody answered.", Count, nil},
		{"ais_proposals_total", "Changes committed by this node as primary.", Count, nil},
		{"ais_elections_won_total", "Times this node became primary.", Count, nil},
	}
	r.Families(families, func(emit Emit) {
		c := read()
		for _, s := range states {
			emit("ais_raft_state", flag(s == c.State), s)
		}
		emit("ais_raft_term", float64(c.Term))
		emit("ais_raft_last_index", float64(c.LastIndex))
		emit("ais_raft_commit_index", float64(c.CommitIndex))
		emit("ais_raft_applied_index", float64(c.AppliedIndex))
		emit("ais_raft_last_contact_seconds", c.LastContact.Seconds())
		emit("ais_cluster_map_version", float64(c.MapVersion))
		emit("ais_lease_left_seconds", c.LeaseLeft.Seconds())
		emit("ais_heartbeats_total", float64(c.Heartbeats))
		emit("ais_heartbeats_missed_total", float64(c.Missed))
		emit("ais_proposals_total", float64(c.Proposals))
		emit("ais_elections_won_total", float64(c.Elections))
	})
}

func flag(on bool) float64 {
	if on {
		return 1
	}
	return 0
}
