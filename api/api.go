// Package api is the vocabulary of the native HTTP API v1: paths, query and header names, actions, and
// the JSON and msgpack types that travel. Servers and clients of the project share it.
//
// The dialect is AIStore's published HTTP API v1, so its Python SDK and scripts talk to us unchanged;
// names that are ours alone stand in their own blocks and say so. Pure code: no I/O, goroutine or clock,
// no routing and no status codes (package httpx maps kinds to those).
//
// Start at the paths below, then ActionMsg, Bck, ListObjectsMsg and ListPage, Smap, JobSnap.
package api

// URL paths. A route is a path plus what follows it: PathObjects + "/BUCKET/OBJECT".
const (
	Version     = "v1"
	PathBuckets = "/v1/buckets"
	PathObjects = "/v1/objects"
	PathCluster = "/v1/cluster"
	PathDaemon  = "/v1/daemon"         // one node; every node answers
	PathReverse = "/v1/reverse/daemon" // a gateway asks the node named by HeaderNodeID on the client's behalf
	PathHealth  = "/v1/health"
	PathMetrics = "/metrics"
	PathEasy    = "/ais" // easy URL: /ais/BUCKET/OBJECT

	PathMountpaths = "/v1/daemon/mountpaths" // of a target: PUT, POST and DELETE with one of the actions ...-mp

	PathSetConfig  = "/v1/cluster/set-config" // PUT ?key=value&...
	PathSetPrimary = "/v1/cluster/proxy"      // PUT /v1/cluster/proxy/NODE

	// Ours, beside AIStore's authentication service, which has /v1/users and /v1/tokens of its own. Every node answers.
	PathUsers = "/v1/auth/users" // GET, POST; GET, PUT, DELETE /v1/auth/users/NAME
	PathKeys  = "/v1/auth/keys"  // POST; DELETE /v1/auth/keys/ACCESS

	// Known to AIStore and outside this API: answered with kind Unsupported.
	PathETL      = "/v1/etl"
	PathSort     = "/v1/sort"
	PathDownload = "/v1/download"
	PathML       = "/v1/ml"
)

// Query parameters of AIStore.
const (
	QueryWhat         = "what"
	QueryProvider     = "provider"
	QueryNamespace    = "namespace"    // "@UUID#NAME"; UUID is that of a remote cluster, here always empty
	QueryBucketTo     = "bck_to"       // destination of move-bck and copy-bck: "ais/@#NS/NAME/"
	QueryObjectTo     = "object_to"    // destination of an object copy: "ais/@#NS/BUCKET/OBJECT"
	QueryPresence     = "presence"     // see Presence*
	QuerySummary      = "bsumm_remote" // HEAD bucket: also start (uuid empty) or fetch (uuid set) a summary
	QueryUUID         = "uuid"         // job id
	QueryID           = "id"           // ours: which rebalance
	QueryForce        = "frc"
	QueryAppendType   = "append_type"    // AppendOp or FlushOp
	QueryAppendHandle = "append_handle"  // empty on the first append
	QueryNewCustom    = "set-new-custom" // PATCH object: replace all custom metadata instead of adding
	QueryProps        = "props"          // HEAD object: comma-separated names, see Props*
	QueryLatest       = "latest-ver"     // remote buckets only; "true" is accepted and has no effect
	QuerySync         = "synchronize"    // likewise
	QueryReadyReb     = "prr"            // health: ready for membership changes; the same as readiness here
	QueryLogSeverity  = "severity"       // what=log: info, warning, error
	QueryAllLogs      = "all"            // what=log: every kept log as tar.gz
	QueryArchPath     = "archpath"
	QueryArchRegx     = "archregx"
	QueryArchMode     = "archmode"
	QueryETLName      = "etl_name"
	QueryUploadID     = "uploadId"
	QueryPartNumber   = "partNumber"
)

// Query parameters that are ours.
const (
	QueryReadiness   = "readiness" // health: 200 only when the node may serve
	QueryDelimiter   = "delimiter" // list objects: group names after the prefix
	QueryDeep        = "deep"      // what=check: read every byte, too
	QueryRedirEpoch  = "ais-e"     // of a signed redirect: map epoch
	QueryRedirBucket = "ais-b"     // bucket id
	QueryRedirExpiry = "ais-x"     // unix seconds
	QueryRedirSign   = "ais-s"     // HMAC-SHA256 truncated to 128 bits, base64url
)

// Values of QueryAppendType.
const (
	AppendOp = "append"
	FlushOp  = "flush"
)

// Values of QueryPresence. Every bucket and object here is present, so they differ only in whether a summary is asked for.
const (
	PresenceExists         = "0"
	PresenceExistsNoProps  = "1"
	PresencePresent        = "2"
	PresencePresentNoProps = "3"
	PresenceCluster        = "4"
	PresenceOutside        = "5"
)

// Values of QueryWhat.
const (
	WhatSmap          = "smap"
	WhatBMD           = "bmd"
	WhatConfig        = "config" // of the node at PathDaemon, of the cluster at PathCluster
	WhatClusterConfig = "cluster_config"
	WhatStats         = "stats"
	WhatSysInfo       = "sysinfo"
	WhatNodeStatus    = "node_status" // stats and status of one node
	WhatStatus        = "status"      // at PathCluster: of one job (JobStatus); at PathDaemon: of the node
	WhatAllStatus     = "status_all"
	WhatAllRunning    = "running_all"
	WhatJobStats      = "qryxstats" // snapshots of jobs by target
	WhatSnode         = "snode"
	WhatLog           = "log"
	WhatMountpaths    = "mountpaths"
	WhatAllMountpaths = "target_mountpaths"
	WhatTargetIPs     = "target_ips"
	WhatRemote        = "remote" // attached clusters: always none

	// Ours.
	WhatView   = "view"   // cluster.View without its secret: what a client needs to route by itself
	WhatNodes  = "nodes"  // []NodeInfo: what `ais show cluster` shows
	WhatKinds  = "kinds"  // []JobKind: the table of jobs
	WhatHealth = "health" // []NodeHealth of all nodes

	WhatRebalance = "rebalance" // Rebalance; of one node RebalanceStatus
	WhatCheck     = "check"     // CheckReport; of one node NodeCheck
)

// Request and reply headers of AIStore.
const (
	HeaderChecksumType   = "ais-checksum-type"
	HeaderChecksumValue  = "ais-checksum-value"
	HeaderAtime          = "ais-atime" // unix nanoseconds
	HeaderVersion        = "ais-version"
	HeaderCustomMD       = "ais-custom-md" // k=v; in a request repeatable, in a reply comma-separated and sorted
	HeaderBucketName     = "ais-bucket-name"
	HeaderBucketProvider = "ais-bucket-provider"
	HeaderName           = "ais-name"
	HeaderLocation       = "ais-location"
	HeaderPresent        = "ais-present"
	HeaderMirrorCopies   = "ais-mirror-copies"
	HeaderBucketProps    = "Ais-Bucket-Props" // JSON BucketProps
	HeaderBucketSummary  = "Ais-Bucket-Summ"  // JSON BucketSummary
	HeaderXactionID      = "Ais-Xaction-Id"
	HeaderNodeID         = "Ais-Node-Id"
	HeaderNodeURL        = "Ais-Node-Url"
	HeaderAppendHandle   = "Ais-Append-Handle"
	HeaderClusterUptime  = "Ais-Cluster-Uptime" // nanoseconds
	HeaderNodeUptime     = "Ais-Node-Uptime"    // nanoseconds
)

// Headers that are ours.
const (
	HeaderErrorKind  = "ais-error-kind"  // errs.Kind of a failure
	HeaderStale      = "ais-stale"       // "true" on a read of a bucket with stale_reads that no primary could confirm: it may be out of date
	HeaderMapVersion = "ais-map-version" // of the cluster map the client routed with, or the server's when they differ
	HeaderDurability = "ais-durability"  // class of an acknowledged write; of the bucket at HEAD bucket
	HeaderBucketID   = "ais-bucket-id"
	HeaderRequestID  = "X-Request-Id"
)

// Media types.
const (
	TypeJSON    = "application/json"
	TypeMsgpack = "application/msgpack"
)

// Actions of an ActionMsg that are served.
const (
	ActCreateBucket  = "create-bck"
	ActDestroyBucket = "destroy-bck"
	ActMoveBucket    = "move-bck"
	ActCopyBucket    = "copy-bck"
	ActSummaryBucket = "summary-bck"
	ActSetProps      = "set-bprops"
	ActResetProps    = "reset-bprops"
	ActList          = "list"
	ActDeleteObjects = "delete-listrange"
	ActCopyObjects   = "copy-listrange"
	ActRename        = "rename"     // object: POST with the new name in ActionMsg.Name
	ActCheckLock     = "check-lock" // object: HEAD; objects are never locked for reading
	ActStart         = "start"
	ActStop          = "stop"
	ActSetConfig     = "set-config"
	ActResetConfig   = "reset-config"

	// Of one target's mountpaths, at PathMountpaths; the value is a path.
	ActMountpathAttach  = "attach-mp"
	ActMountpathDetach  = "detach-mp"
	ActMountpathEnable  = "enable-mp"
	ActMountpathDisable = "disable-mp"
	ActMountpathRescan  = "rescan-mp" // of all of them: it takes no path
)

// UnsupportedActions are actions of AIStore that this API knows and does not serve: kind Unsupported, with
// the reason given here.
func UnsupportedActions() map[string]string {
	const (
		remote    = "works on remote buckets, which this cluster does not have"
		transform = "needs ETL, which this cluster does not run"
		archived  = "works on archives, which are not served yet"
		multipart = "native multipart upload is not served: PUT the object whole or append to it"
		redundant = "changes redundancy, which is not served yet"
	)
	return map[string]string{
		"evict-remote-bck": remote, "evict-listrange": remote, "prefetch-listrange": remote, "blob-download": remote,
		"evictobj": remote, "prefetch": remote, "create-inventory": remote, "destroy-inventory": remote, "show-inventory": remote,
		"etl-bck": transform, "etl-listrange": transform,
		"archive": archived, "promote": "reads files of the servers, which is not served",
		"mpt-upload": multipart, "mpt-complete": multipart, "mpt-abort": multipart,
		"make-n-copies": redundant, "ec-encode": redundant,
	}
}

// Names that ListObjectsMsg.Props and QueryProps take. PropsAll of them are understood; "copies", "ec", "cached",
// "status", "node" and "chunked" are accepted and say the same for every object here.
const (
	PropName     = "name"
	PropSize     = "size"
	PropVersion  = "version"
	PropChecksum = "checksum"
	PropAtime    = "atime"
	PropLocation = "location"
	PropCustom   = "custom"
	PropModified = "last-modified"
	PropETag     = "etag"
	PropTarget   = "target_url"
)
