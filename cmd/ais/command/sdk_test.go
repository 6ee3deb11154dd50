package command

import "testing"

// TestPortHint: who leaves the port out is told which one was tried; one that cannot be is refused before anybody is looked for there.
func TestPortHint(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"http://localhost:8080": "", "localhost:1, http://b:65535": "", "http://[::1]:80": "",
		"localhost":        "; without a port that is 80: a node's is 8080 unless it was told another",
		"http://a:1,b":     "; without a port that is 80: a node's is 8080 unless it was told another",
		"https://10.0.0.1": "; without a port that is 443: a node's is 8080 unless it was told another",
	} {
		if got, err := portHint(in); got != want || err != nil {
			t.Errorf("%s: %q %v", in, got, err)
		}
	}
	for _, in := range []string{"http://localhost:99999", "localhost:0", "http://a:1,http://b:70000"} {
		if got, err := portHint(in); err == nil {
			t.Errorf("%s: %q", in, got)
		}
	}
}
