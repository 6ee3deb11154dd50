package config

import (
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"aistore/internal/near"
)

// A field is one key of the configuration, bound to where its value goes.
type field struct {
	key   string // in the file; a dot leads into a mapping
	value flag.Value
	byDef string // default, as the help text shows it
	help  string
}

// fields is the table behind file, environment, flags and help.
func (n *Node) fields() []field {
	return []field{
		{"role", stringValue{&n.Role}, "all", "what the node does: proxy, target, or all"},
		{"id", stringValue{&n.ID}, "made once", "node id; kept in DIR and on every mountpath"},
		{"dir", stringValue{&n.Dir}, "./data", "folder for identity, replicated log and last view"},
		{"host", stringValue{&n.Host}, "127.0.0.1", "address of all listeners"},
		{"port", numberValue[int]{&n.Port}, "8080", "port for clients"},
		{"intra_port", numberValue[int]{&n.IntraPort}, "port + 10000", "port for other nodes"},
		{"tls_port", portValue{&n.TLSPort}, "0: off", "port for clients that speak TLS"},
		{"tls_cert", stringValue{&n.TLSCert}, "none", "PEM file of the certificate and its chain; read again when it changes"},
		{"tls_key", stringValue{&n.TLSKey}, "none", "PEM file of the certificate's key"},
		{"s3_domain", &listValue{p: &n.S3Domain}, "none", "domains whose subdomains are buckets to S3 clients"},
		{"public_url", stringValue{&n.PublicURL}, "http://HOST:PORT", "what clients are redirected to"},
		{"mountpaths", &listValue{p: &n.Mountpaths}, "DIR/mp1", "folders that hold objects, one per disk"},
		{"join", &listValue{p: &n.Join}, "none", "public URLs of nodes of the cluster to join"},
		{"bootstrap", toggleValue{&n.Bootstrap}, "true for role all without join", "found a new cluster if there is no state and none to join"},
		{"standby", toggleValue{&n.Standby}, "false", "a target that joins later owns nothing until it is joined by hand"},
		{"zone", stringValue{&n.Zone}, "none", "failure domain, such as a rack; shown, and places nothing yet: of an object there is one copy"},
		{"weight", numberValue[uint32]{&n.Weight}, "100", "share of objects relative to other targets"},
		{"cache_size", sizeValue{&n.CacheSize}, "64MiB", "index cache of the node; half as much again is kept of names read often"},
		{"log.level", stringValue{&n.Log.Level}, "info", "debug, info, warn or error"},
		{"log.format", stringValue{&n.Log.Format}, "text", "text or json"},
	}
}

// flagName returns the flag of f without its dashes: intra-port.
func (f field) flagName() string { return strings.NewReplacer("_", "-", ".", "-").Replace(f.key) }

// envName returns the environment variable of f: AIS_NODE_INTRA_PORT.
func (f field) envName() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(f.key, ".", "_"))
}

// Usage writes the help text: every key with its flag, variable, default and meaning.
func Usage(w io.Writer) error {
	var n Node
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "aisnode runs one node. Keys stand in a YAML file (--config FILE, or AIS_NODE_CONFIG); the")
	fmt.Fprintln(t, "environment overrides the file, flags override both. Lists are separated by commas.")
	fmt.Fprintln(t, "\nFLAG\tENVIRONMENT\tDEFAULT\tMEANING")
	fmt.Fprintln(t, "--config FILE\tAIS_NODE_CONFIG\tnone\tthe YAML file")
	for _, f := range n.fields() {
		fmt.Fprintf(t, "--%s\t%s\t%s\t%s\n", f.flagName(), f.envName(), f.byDef, f.help)
	}
	fmt.Fprintf(t, "only there\t%s\t%s\t%s\n", envRootAccess, DefaultRoot().Access, "access key of the first administrator, who is made with the cluster")
	fmt.Fprintf(t, "only there\t%s\t%s\t%s\n", envRootSecret, DefaultRoot().Secret, "its secret key")
	fmt.Fprintln(t, "\nIn the file a key is written with '_', and log.level as level below log.")
	return t.Flush()
}

// meant returns ", did you mean X?" when one of names is close to got, else "".
func meant(got string, names []string) string {
	best, least := "", 3
	for _, n := range names {
		if d := near.Distance(got, n); d < least && d < len(n) {
			best, least = n, d
		}
	}
	if best == "" {
		return ""
	}
	return ", did you mean " + best + "?"
}

// names applies f to every field and sorts.
func names(fields []field, f func(field) string) []string {
	all := make([]string, len(fields))
	for i := range fields {
		all[i] = f(fields[i])
	}
	slices.Sort(all)
	return all
}
