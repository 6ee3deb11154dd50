package control

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"aistore/cluster"
	"aistore/httpx"
)

// TestJoinNowhere: a member that listens at all addresses and tells others to call it there is not called, and the error says what to set.
func TestJoinNowhere(t *testing.T) {
	member := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(joinInfo{UUID: "u", Nodes: []joinNode{{"a1", "0.0.0.0:1"}, {"a2", "[::]:1"}}})
	}))
	defer member.Close()
	client := httpx.NewClient(httpx.ClientConfig{})
	defer client.Close()
	c := &Control{cfg: Config{Self: cluster.Node{ID: "t1"}, Join: []string{member.URL}, Client: client}}
	found, err := entrance{c}.joinOnce(t.Context())
	if !found || err == nil || !strings.Contains(err.Error(), "a1 is to be called at 0.0.0.0:1") || !strings.Contains(err.Error(), "a2 is to be called at [::]:1") {
		t.Errorf("found %v, %v", found, err)
	}
}
