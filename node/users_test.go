package node

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"aistore/api"
	"aistore/cluster"
)

// machine is a control plane of one node in memory: the real state machine without a log.
type machine struct {
	fakeControl
	mu sync.Mutex
	m  *cluster.Machine
}

func newMachine(t *testing.T) *machine {
	m := &machine{m: cluster.NewMachine()}
	if _, err := m.Propose(t.Context(), cluster.Found{
		UUID: "u", Secret: bytes.Repeat([]byte{1}, 32), Node: cluster.Node{ID: "t1", Role: cluster.RoleAll, IntraAddr: "h:1", PublicURL: "http://h:2"},
		Root: cluster.AccessKey{Access: "root-access", Secret: "hidden-root"},
	}); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *machine) Propose(_ context.Context, cmd cluster.Command) (cluster.Result, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.m.Apply(m.m.Index+1, cluster.Entry{Time: time.Unix(1_700_000_000, 0).UTC(), Command: cmd})
}

func (m *machine) View() *cluster.View {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.m.View()
}

func (m *machine) Latest(context.Context) (*cluster.View, error) { return m.View(), nil }

func send(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// TestUserRoutes walks through every route of users and keys, right and wrong; no reply may hold a secret.
func TestUserRoutes(t *testing.T) {
	m := newMachine(t)
	r := serve(t, Config{Role: cluster.RoleTarget, Control: m, Propose: m.Propose})
	for _, c := range []struct {
		method, path, body string
		status             int
		says               []string
	}{
		{"GET", api.PathUsers, "", 200, []string{`"name":"root-access"`, `"role":"admin"`, `"access":"root-access"`}},
		{"POST", api.PathUsers, `{"name":"ann"}`, 200, []string{`"name":"ann"`, `"role":"user"`, `"keys":[]`}},
		{"POST", api.PathUsers, `{"name":"ann"}`, 409, []string{"ann: the user exists already"}},
		{"POST", api.PathUsers, `{"name":"a b"}`, 400, []string{"user name"}},
		{"POST", api.PathUsers, `{"name":"bob","role":"king"}`, 400, []string{"role", "king", "readonly"}},
		{"POST", api.PathUsers, `{"name":"bob","rule":"admin"}`, 400, []string{`unknown field \"rule\"`}},
		{"POST", api.PathUsers, `{"name":7}`, 400, []string{`field \"name\"`}},
		{"POST", api.PathUsers, ``, 400, []string{"is empty"}},
		{"POST", api.PathUsers, `{"name":"bob"} hidden-tail`, 400, []string{"behind its JSON value"}},
		{"POST", api.PathUsers, `{"name":"bob","access":"bob-access"}`, 400, []string{"secret key: of bob-access"}},
		{"POST", api.PathUsers, `{"name":"bob","secret":"hidden-bob"}`, 400, []string{"access key"}},
		{"POST", api.PathUsers, `{"name":"bob","role":"readonly","id":"bob-id","email":"bob@x.org","access":"bob-access","secret":"hidden-bob"}`, 200,
			[]string{`"id":"bob-id"`, `"display":"bob-id"`, `"email":"bob@x.org"`, `"access":"bob-access"`}},
		{"POST", api.PathKeys, `{"user":"ann","access":"ann-access","secret":"hidden ann"}`, 400, []string{"secret key: of ann-access"}},
		{"POST", api.PathKeys, `{"user":"ann","access":"bob-access","secret":"hidden-ann"}`, 409, []string{"bob-access: is an access key of user bob"}},
		{"POST", api.PathKeys, `{"user":"nobody","access":"n-access","secret":"hidden-nobody"}`, 404, []string{"nobody"}},
		{"POST", api.PathKeys, `{"user":"ann","access":"ann+$~access","secret":"hidden-ann"}`, 200, []string{`"id":"ann+$~access"`}},
		{"GET", api.PathUsers + "/ann", "", 200, []string{`"access":"ann+$~access"`}},
		{"GET", api.PathUsers + "/nobody", "", 404, []string{"nobody"}},
		{"PUT", api.PathUsers + "/ann", `{"role":"admin","display":"Ann"}`, 200, []string{`"display":"Ann"`, `"role":"admin"`}},
		{"PUT", api.PathUsers + "/ann", `{"email":"BOB@x.org"}`, 409, []string{"user bob"}},
		{"PUT", api.PathUsers + "/nobody", `{"role":"admin"}`, 404, []string{"nobody"}},
		{"DELETE", api.PathKeys + "/ann+$~access", "", 200, nil},
		{"DELETE", api.PathKeys + "/ann+$~access", "", 404, []string{"ann+$~access"}},
		{"DELETE", api.PathKeys + "/root-access", "", 409, []string{"last administrator"}},
		{"DELETE", api.PathUsers + "/root-access", "", 409, []string{"last administrator"}},
		{"DELETE", api.PathUsers + "/ann", "", 200, nil},
		{"DELETE", api.PathUsers + "/ann", "", 404, []string{"ann"}},
	} {
		code, body := send(t, c.method, r.public+c.path, c.body)
		if code != c.status {
			t.Errorf("%s %s %s: %d, want %d: %s", c.method, c.path, c.body, code, c.status, body)
		}
		for _, s := range c.says {
			if !strings.Contains(body, s) {
				t.Errorf("%s %s %s: %s does not say %s", c.method, c.path, c.body, body, s)
			}
		}
		if strings.Contains(body, "hidden") {
			t.Errorf("%s %s: a secret in the reply: %s", c.method, c.path, body)
		}
	}
	var us []api.User
	if _, body := send(t, "GET", r.public+api.PathUsers, ""); json.Unmarshal([]byte(body), &us) != nil || len(us) != 2 || us[0].Name != "bob" {
		t.Errorf("left over: %+v", us)
	}
	if _, k := m.View().Users.ByAccess("bob-access"); k == nil || k.Secret != "hidden-bob" {
		t.Error("the secret did not arrive")
	}
}
