package s3conf

import (
	"context"
	"testing"
	"time"

	"aistore/api"
	"aistore/api/client"
	"aistore/deploy/local"
	"aistore/test/procs"
)

// startCluster starts 1 gateway and 3 targets with a second user and returns the ways in.
func startCluster(t *testing.T) (gateway, target, secure *env) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute) // with a build, whose cache may be empty
	defer cancel()
	bin, err := local.Build(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	root := keys{"ROOTACCESSKEY", "root-secret-of-the-tests"}
	c, err := local.Up(ctx, local.Options{
		Dir: t.TempDir(), Binary: bin, Gateways: 1, Targets: 3, Mountpaths: 2, Port: procs.FreePorts(t, 8), CacheSize: "16MiB", TLS: true,
		Env: []string{"AIS_ROOT_ACCESS_KEY=" + root.access, "AIS_ROOT_SECRET_KEY=" + root.secret},
	})
	if c != nil {
		t.Cleanup(func() {
			if err := c.Down(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	alt := keys{"OTHERACCESSKEY", "other-secret-of-the-tests"}
	cl, err := client.New(client.Options{Endpoints: []string{c.Endpoint()}})
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.Auth().AddUser(ctx, api.AddUserMsg{Name: "other", Role: "user"}); err != nil {
		t.Fatal(err)
	}
	if _, err := cl.Auth().AddKey(ctx, "other", client.KeyPair{Access: alt.access, Secret: alt.secret}); err != nil {
		t.Fatal(err)
	}
	var targetURL, tlsURL string
	for _, n := range c.Nodes() {
		switch n.ID {
		case "t2":
			targetURL = n.URL()
		case "g1":
			tlsURL = n.TLSURL()
		}
	}
	gateway, target, secure = newEnv(t, c.Endpoint(), root, alt), newEnv(t, targetURL, root, alt), newEnv(t, tlsURL, root, alt)
	gateway.native, target.native, secure.native = c.Endpoint(), c.Endpoint(), c.Endpoint()
	return gateway, target, secure
}
