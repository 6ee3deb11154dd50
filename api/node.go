package api

import (
	"net/url"
	"strings"
	"time"

	"aistore/cluster"
)

// NetInfo is one address of a node.
type NetInfo struct {
	Hostname string `json:"node_hostname"`
	IPAddr   string `json:"node_ip_addr"`
	Port     string `json:"daemon_port"`
	URL      string `json:"direct_url"`
}

// Flags of a Snode.
const (
	SnodeNonElectable = 1 << 0
	SnodeMaintenance  = 1 << 2
	SnodeDecommission = 1 << 3
)

// Values of Snode.Type.
const (
	TypeProxy  = "proxy"
	TypeTarget = "target"
)

// Snode is a node in AIStore's cluster map.
type Snode struct {
	ID         string  `json:"daemon_id"`
	Type       string  `json:"daemon_type"`
	PublicNet  NetInfo `json:"public_net"`
	ControlNet NetInfo `json:"intra_control_net"`
	DataNet    NetInfo `json:"intra_data_net"`
	Flags      uint64  `json:"flags"`
	Digest     uint64  `json:"id_digest"`

	// Ours.
	State  cluster.State `json:"state"`
	Phase  cluster.Phase `json:"phase,omitempty"`
	Role   cluster.Role  `json:"role"`
	Alive  bool          `json:"alive"`
	Weight uint32        `json:"weight"`
	Zone   string        `json:"zone,omitempty"`
}

// Smap is AIStore's cluster map. A node in role "all" is in both maps.
type Smap struct {
	Tmap         map[string]*Snode `json:"tmap"`
	Pmap         map[string]*Snode `json:"pmap"`
	Primary      *Snode            `json:"proxy_si"`
	Version      uint64            `json:"version,string"`
	UUID         string            `json:"uuid"`
	CreationTime string            `json:"creation_time"`
	Epoch        uint64            `json:"epoch"` // ours
}

func netInfo(rawURL, addr string) NetInfo {
	if rawURL == "" {
		rawURL = "http://" + addr
	} else if u, err := url.Parse(rawURL); err == nil {
		addr = u.Host
	}
	host, port := addr, "80"
	if colon := strings.LastIndexByte(addr, ':'); colon > strings.LastIndexByte(addr, ']') {
		host, port = addr[:colon], addr[colon+1:]
	}
	host = strings.Trim(host, "[]")
	return NetInfo{Hostname: host, IPAddr: host, Port: port, URL: rawURL}
}

// SnodeOf renders n as typ (TypeProxy or TypeTarget).
func SnodeOf(n *cluster.Node, typ string) *Snode {
	s := &Snode{
		ID: string(n.ID), Type: typ, PublicNet: netInfo(n.PublicURL, ""),
		ControlNet: netInfo("", n.IntraAddr), DataNet: netInfo("", n.IntraAddr),
		Digest: n.Digest, State: n.State, Phase: n.Phase, Role: n.Role, Alive: n.Alive, Weight: n.Weight, Zone: n.Zone,
	}
	switch {
	case n.State == cluster.Decommissioned:
		s.Flags |= SnodeDecommission
	case n.State != cluster.Online && !n.InService():
		s.Flags |= SnodeMaintenance // owns no names: a client that places by itself must pass it over
	}
	if !n.Voter {
		s.Flags |= SnodeNonElectable
	}
	return s
}

// SmapOf renders the cluster map. The primary may be a target when there are few gateways.
func SmapOf(m *cluster.Map) *Smap {
	s := &Smap{
		Tmap: map[string]*Snode{}, Pmap: map[string]*Snode{}, Version: m.Version, UUID: m.UUID,
		CreationTime: m.Created.UTC().Format(time.RFC3339Nano), Epoch: m.Epoch,
	}
	for id, n := range m.Nodes {
		if n.Role.Target() {
			s.Tmap[string(id)] = SnodeOf(n, TypeTarget)
		}
		if n.Role.Gateway() {
			s.Pmap[string(id)] = SnodeOf(n, TypeProxy)
		}
	}
	if n := m.Nodes[m.Primary]; n != nil {
		typ := TypeTarget
		if n.Role.Gateway() {
			typ = TypeProxy
		}
		s.Primary = SnodeOf(n, typ)
		return s
	}
	for _, n := range m.Gateways() { // between two primaries: any gateway forwards
		s.Primary = SnodeOf(n, TypeProxy)
		break
	}
	return s
}

// BMD is AIStore's bucket map: provider -> namespace path -> name -> properties.
type BMD struct {
	Version   uint64                                       `json:"version,string"`
	UUID      string                                       `json:"uuid"`
	Providers map[string]map[string]map[string]BucketProps `json:"providers"`
}

// BMDOf renders the bucket map.
func BMDOf(v *cluster.View) *BMD {
	byNS := map[string]map[string]BucketProps{}
	for _, b := range v.Buckets.Buckets {
		ns := Namespace{Name: b.Namespace}.String()
		if byNS[ns] == nil {
			byNS[ns] = map[string]BucketProps{}
		}
		byNS[ns][b.Name] = PropsOf(b)
	}
	return &BMD{
		Version: v.Buckets.Version, UUID: v.Map.UUID,
		Providers: map[string]map[string]map[string]BucketProps{ProviderAIS: byNS},
	}
}

// Mountpath is one disk of a target.
type Mountpath struct {
	Path     string `json:"path"`
	ID       string `json:"id"`
	State    string `json:"state"`               // "enabled", "detaching" or "disabled"
	Reason   string `json:"reason,omitempty"`    // why disabled
	Standing string `json:"standing,omitempty"`  // why it gets no names: "failed", "disabled" on request or "leaving"; "" = in service
	Weight   uint32 `json:"weight"`              // its share of the node's names, beside those of the others
	Full     bool   `json:"full,omitempty"`      // it takes no writes for want of space
	Slow     string `json:"slow,omitempty"`      // how, when its calls take much longer than usual
	BadReads int    `json:"bad_reads,omitempty"` // files that could not be read
	FSType   string `json:"fs_type,omitempty"`
	Total    uint64 `json:"total"` // bytes of the file system
	Used     uint64 `json:"used"`
	Avail    uint64 `json:"avail"`
	ReadOps  uint64 `json:"read_ops"` // since start
	WriteOps uint64 `json:"write_ops"`
	ReadB    uint64 `json:"read_bytes"`
	WriteB   uint64 `json:"write_bytes"`
	Syncs    uint64 `json:"syncs"`
	Errors   uint64 `json:"errors"`
	BusyNS   uint64 `json:"busy_ns"` // time spent in the calls above
}

// Mountpaths answers what=mountpaths: AIStore's two lists, and details.
type Mountpaths struct {
	Available []string          `json:"available"`
	Disabled  []string          `json:"disabled"`
	Details   []Mountpath       `json:"details"`            // ours
	Resilver  *Resilver         `json:"resilver,omitempty"` // ours: absent when there was none since the node started
	Unused    map[string]string `json:"unused,omitempty"`   // ours, after a rescan: why each of those that stay out does
}

// Resilver tells how far names have moved between a node's mountpaths: in the present run, or in the last one.
type Resilver struct {
	ID      string    `json:"id"`
	Running bool      `json:"running"`
	Waiting string    `json:"waiting,omitempty"` // why it does not come to its end by itself
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"`
	Scanned int64     `json:"scanned"` // entries of indexes looked at
	Objects int64     `json:"objects"` // moved
	Bytes   int64     `json:"bytes"`   // copied
	Failed  int64     `json:"failed"`  // could not be moved in the pass before
	Planned int64     `json:"planned"` // things to move: what was moved before the mountpaths had changed last, and what was counted then
	Done    int64     `json:"done"`    // of these

	ObjectsPerSecond float64         `json:"objects_per_second"` // since they were counted
	BytesPerSecond   float64         `json:"bytes_per_second"`
	ETANS            int64           `json:"eta_ns,omitempty"` // until all are moved at that rate; absent when it is not known
	Mountpaths       []ResilverMoves `json:"mountpaths"`
}

// ResilverMoves is what goes off one mountpath.
type ResilverMoves struct {
	Path    string `json:"path"`
	Planned int64  `json:"planned"`
	Objects int64  `json:"objects"` // moved
	Bytes   int64  `json:"bytes"`   // copied
}

// MountpathAlerts says in words what is wrong with mountpaths, each with its path; nothing for one that is well.
func MountpathAlerts(ms []Mountpath) (alerts []string) {
	for i := range ms {
		m := &ms[i]
		switch m.State {
		case StateDetaching:
			alerts = append(alerts, m.Path+" is being detached")
		case StateDisabled:
			alerts = append(alerts, m.Path+" disabled: "+m.Reason)
		}
		if m.Full {
			alerts = append(alerts, m.Path+" full")
		}
		if m.Slow != "" {
			alerts = append(alerts, m.Path+" slow: "+m.Slow)
		}
		if m.BadReads > 0 && m.State != StateDisabled {
			alerts = append(alerts, m.Path+" has unreadable files")
		}
	}
	return alerts
}

// States of a mountpath.
const (
	StateEnabled   = "enabled"
	StateDetaching = "detaching"
	StateDisabled  = "disabled"
)

// SysInfo is what a node knows of its machine and process.
type SysInfo struct {
	NumCPU     int       `json:"num_cpu"`
	LoadAvg    []float64 `json:"load_avg"` // 1, 5, 15 minutes
	MemTotal   uint64    `json:"mem_total"`
	MemAvail   uint64    `json:"mem_avail"`
	RSS        uint64    `json:"rss"`    // of the process
	CPUNS      uint64    `json:"cpu_ns"` // user and system time of the process since start
	Goroutines int       `json:"goroutines"`
	OpenFiles  int       `json:"open_files"`
}

// OpStats counts one operation ("get", "put", "head", "delete", "list" ...) since the node started.
type OpStats struct {
	Count     uint64 `json:"count"`
	Errors    uint64 `json:"errors"`
	Bytes     uint64 `json:"bytes"`
	LatencyNS uint64 `json:"latency_ns"` // sum over Count
	P50NS     uint64 `json:"p50_ns"`     // of all since start, from the histogram
	P99NS     uint64 `json:"p99_ns"`

	Latencies []LatencyBucket `json:"latencies,omitempty"` // with what=stats: those since start, shortest first; buckets without requests are left out
}

// LatencyBucket is [from, to, count]: so many requests took from nanoseconds or more, and less than to.
type LatencyBucket [3]uint64

// NodeStats answers what=stats of a node. Counters only grow; two samples give rates.
type NodeStats struct {
	Node   string             `json:"node"`
	Role   cluster.Role       `json:"role"`
	TimeNS int64              `json:"time_ns,string"` // when sampled, unix nanoseconds
	Ops    map[string]OpStats `json:"ops"`
	Disks  []Mountpath        `json:"disks,omitempty"`
	Sys    SysInfo            `json:"sys"`
}

// NodeStatus answers what=node_status and what=status of a node.
type NodeStatus struct {
	Snode       *Snode      `json:"snode"`
	Status      string      `json:"status"` // cluster.State, or "offline"
	SmapVersion uint64      `json:"smap_version,string"`
	Version     string      `json:"version"`
	BuildTime   string      `json:"build_time,omitempty"`
	UptimeNS    int64       `json:"uptime_ns"`
	PID         int         `json:"pid"`
	Stats       *NodeStats  `json:"stats"`
	Mountpaths  *Mountpaths `json:"mountpaths,omitempty"`
}

// What NodeInfo.Health says, alone for a node in service, of one that does not answer.
const (
	HealthOffline = "offline"
	HealthUnknown = "unknown" // there is no primary to tell; alive is false
)

// NodeInfo is one line of what=nodes: the map's entry and what the node last told the primary.
type NodeInfo struct {
	*cluster.Node
	Digest   string    `json:"digest"` // Node.Digest in 16 hexadecimal digits: as a number JavaScript and jq lose some of them
	Primary  bool      `json:"primary"`
	Health   string    `json:"health"` // "online", or State and Phase, or HealthOffline or HealthUnknown, also behind those: "maintenance (done), offline"
	UptimeNS int64     `json:"uptime_ns"`
	LastSeen time.Time `json:"last_seen,omitzero"`
	Version  string    `json:"version,omitempty"` // of the software
	Total    uint64    `json:"total"`             // bytes of its mountpaths
	Used     uint64    `json:"used"`
	Avail    uint64    `json:"avail"`
	Alerts   []string  `json:"alerts,omitempty"` // what an operator should look at
}

// ClusterStats answers what=stats at PathCluster.
type ClusterStats struct {
	Proxies map[string]*NodeStats `json:"proxy"`
	Targets map[string]*NodeStats `json:"target"`
	Missing map[string]string     `json:"missing,omitempty"` // nodes that did not answer, and why
}

// ClusterSysInfo answers what=sysinfo at PathCluster.
type ClusterSysInfo struct {
	Proxies map[string]*SysInfo `json:"proxy"`
	Targets map[string]*SysInfo `json:"target"`
	Missing map[string]string   `json:"missing,omitempty"`
}
