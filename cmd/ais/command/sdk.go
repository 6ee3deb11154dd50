package command

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"

	"aistore/api/client"
	"aistore/errs"
)

// connect returns the client of the cluster. It asks for the cluster map, which the client needs anyway, so that a
// cluster that cannot be reached is told at once and in plain words.
func (a *app) connect(ctx context.Context) (*client.Client, error) {
	if a.sdk != nil {
		return a.sdk, nil
	}
	endpoint, from := a.where()
	hint, err := portHint(endpoint)
	if err != nil {
		return nil, usageError("%s: %q is no URL of a node: write http://HOST:PORT", from, endpoint)
	}
	sdk, err := client.New(client.Options{
		Endpoints: strings.Split(endpoint, ","), UserAgent: "ais/" + a.proc.Version, MaxIdle: maxWorkers, Log: a.repetitions(),
	})
	if err != nil {
		return nil, err
	}
	view, err := sdk.View(ctx)
	if err != nil {
		sdk.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, errs.F("", nil, errs.Unavailable, "no node of the cluster answers at %s (%s): %s%s\n"+
			"     Start one with `ais dev up` or `make run`, or set %s to the URL of any node that runs.",
			endpoint, from, a.networkCause(err), hint, client.EnvEndpoint)
	}
	a.sdk, a.view = sdk, view
	return sdk, nil
}

// where tells which cluster is meant, and who says so.
func (a *app) where() (endpoint, from string) {
	if a.endpoint != "" {
		return a.endpoint, "from --endpoint"
	}
	if e := a.proc.Getenv(client.EnvEndpoint); strings.Trim(e, ", ") != "" {
		return e, "from " + client.EnvEndpoint
	}
	return "http://127.0.0.1:8080", "the default, as " + client.EnvEndpoint + " is not set"
}

// portHint says which port is meant by an endpoint without one, "" when each has one. An error says that one is no URL of a node.
func portHint(endpoints string) (hint string, err error) {
	o := client.Options{Endpoints: strings.Split(endpoints, ",")}.WithDefaults()
	if err := o.Validate(); err != nil {
		return "", err
	}
	for _, e := range o.Endpoints {
		u, err := url.Parse(e)
		if err != nil {
			return "", err
		}
		if u.Port() == "" {
			hint = fmt.Sprintf("; without a port that is %d: a node's is 8080 unless it was told another", map[bool]int{false: 80, true: 443}[u.Scheme == "https"])
		}
	}
	return hint, nil
}

// networkCause is the part of a failed connection's error that says why.
func (a *app) networkCause(err error) string {
	var no syscall.Errno
	var dns *net.DNSError
	var op *net.OpError
	var cert *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var reply *client.ReplyError
	switch {
	case errors.As(err, &cert):
		if file := a.proc.Getenv("SSL_CERT_FILE"); file != "" {
			if _, bad := os.ReadFile(file); bad != nil { // which Go passes over in silence
				return "its certificate is not trusted here: SSL_CERT_FILE: " + bad.Error()
			}
		}
		return "its certificate is not trusted here: " + cert.Err.Error() + ".\n" +
			"     Set SSL_CERT_FILE to the file of that certificate, or of the authority that signed it (`ais dev up --tls` prints the one it makes)"
	case errors.As(err, &record):
		return "this port does not speak TLS: write http:// for https://, or give the TLS port"
	case errors.As(err, &no):
		return no.Error()
	case errors.As(err, &dns):
		return "no such host " + dns.Name
	case errors.As(err, &op) && op.Timeout():
		return "connecting takes too long"
	case errors.As(err, &reply) && reply.RequestID == "" && reply.Status != http.StatusBadRequest: // nodes give every reply one, but for the words of a TLS port
		return fmt.Sprintf("what answers there is no node of a cluster, but another server (status %d)", reply.Status)
	}
	var all *errs.Error
	if errors.As(err, &all) && errors.Unwrap(all.Err) != nil { // that none answers is said already
		err = errors.Unwrap(all.Err)
	}
	return message(err)
}
