package owner_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"aistore/fs"
)

// slowDisk keeps syncs of the index's log waiting while it is held.
type slowDisk struct {
	mu   sync.Mutex
	held chan struct{}
	fail error // of what was held
}

func (d *slowDisk) check(op fs.Op, name string) error {
	d.mu.Lock()
	held := d.held
	d.mu.Unlock()
	if held == nil || op != fs.OpSync || !strings.HasSuffix(name, ".log") {
		return nil
	}
	<-held
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.fail
}

func (d *slowDisk) hold() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.held = make(chan struct{})
}

func (d *slowDisk) release(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.held != nil {
		d.fail = err
		close(d.held)
		d.held = nil
	}
}

// TestSlowCompletion lets a completion take longer than a client would wait in silence: 200 and white space come before it is known how it
// ends, and then the document says it.
func TestSlowCompletion(t *testing.T) {
	for name, fault := range map[string]error{"completed": nil, "failed": errors.New("injected")} {
		t.Run(name, func(t *testing.T) {
			disk := &slowDisk{}
			w := newWorldOn(t, 1, &fs.Faulty{FS: fs.OS{}, Check: disk.check})
			t.Cleanup(func() { disk.release(nil) })
			w.targets[0].owner.Hasten(time.Millisecond, time.Millisecond)
			u := w.begin("plain", "control\x01key")
			u.put(random(100))
			disk.hold()
			resp := w.open(u.completion())
			defer func() { _ = resp.Body.Close() }()
			if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/xml" {
				t.Fatalf("%s %v", resp.Status, resp.Header)
			}
			const prolog, spaces = `<?xml version="1.1" encoding="UTF-8"?>` + "\n", 5
			head := make([]byte, len(prolog)+spaces)
			if _, err := io.ReadFull(resp.Body, head); err != nil {
				t.Fatal(err)
			}
			if string(head) != prolog+strings.Repeat(" ", spaces) {
				t.Fatalf("the reply begins %q", head)
			}
			disk.release(fault)
			rest, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			a := &answer{resp, bytes.TrimLeft(rest, " ")}
			if fault == nil {
				if !bytes.HasPrefix(a.body, []byte("<CompleteMultipartUploadResult")) || strings.ReplaceAll(a.element("ETag"), "&quot;", `"`) != u.etagOf() {
					t.Errorf("ends with %s", a.body)
				}
				if g := w.want(200, "", call{method: "GET", bucket: "plain", key: "control\x01key"}); !bytes.Equal(g.body, u.data) {
					t.Errorf("%d bytes", len(g.body))
				}
			} else if !bytes.HasPrefix(a.body, []byte("<Error>")) || a.code() != "ServiceUnavailable" {
				t.Errorf("ends with %s", a.body)
			}
		})
	}
}

// TestSlowCopies: a copy that takes long, as of gigabytes from another node, says that the server lives as a completion does.
func TestSlowCopies(t *testing.T) {
	for name, fault := range map[string]error{"copied": nil, "failed": errors.New("injected")} {
		for _, part := range []bool{false, true} {
			if part && fault != nil {
				continue // it goes to another disk
			}
			t.Run(name, func(t *testing.T) {
				disk := &slowDisk{}
				w := newWorldOn(t, 1, &fs.Faulty{FS: fs.OS{}, Check: disk.check})
				t.Cleanup(func() { disk.release(nil) })
				w.targets[0].owner.Hasten(time.Millisecond, time.Millisecond)
				w.want(200, "", call{method: "PUT", bucket: "plain", key: "source", body: []byte("content")})
				c, root := call{method: "PUT", bucket: "plain", key: "copy", header: []string{"x-amz-copy-source", "plain/source"}}, "<CopyObjectResult"
				if part {
					c.query, root = w.begin("plain", "copy").query(1), "<CopyPartResult"
				}
				disk.hold()
				resp := w.open(c)
				defer func() { _ = resp.Body.Close() }()
				const prolog, spaces = `<?xml version="1.0" encoding="UTF-8"?>` + "\n", 5
				head := make([]byte, len(prolog)+spaces)
				if _, err := io.ReadFull(resp.Body, head); err != nil || resp.StatusCode != http.StatusOK || string(head) != prolog+strings.Repeat(" ", spaces) {
					t.Fatalf("%s %q %v", resp.Status, head, err)
				}
				disk.release(fault)
				rest, err := io.ReadAll(resp.Body)
				if err != nil {
					t.Fatal(err)
				}
				a := &answer{resp, bytes.TrimLeft(rest, " ")}
				switch {
				case fault == nil && (!bytes.HasPrefix(a.body, []byte(root)) || strings.ReplaceAll(a.element("ETag"), "&quot;", `"`) != etag([]byte("content"))),
					fault != nil && (!bytes.HasPrefix(a.body, []byte("<Error>")) || a.code() != "ServiceUnavailable"):
					t.Errorf("ends with %s", a.body)
				}
			})
		}
	}
}

// TestSlowCompletionLosesItsClient completes an upload although the client has gone.
func TestSlowCompletionLosesItsClient(t *testing.T) {
	disk := &slowDisk{}
	w := newWorldOn(t, 1, &fs.Faulty{FS: fs.OS{}, Check: disk.check})
	t.Cleanup(func() { disk.release(nil) })
	w.targets[0].owner.Hasten(time.Millisecond, time.Millisecond)
	u := w.begin("plain", "key")
	u.put(random(100))
	disk.hold()
	resp := w.open(u.completion())
	_ = resp.Body.Close()
	disk.release(nil)
	if a := w.want(200, "", u.completion()); strings.ReplaceAll(a.element("ETag"), "&quot;", `"`) != u.etagOf() {
		t.Errorf("asked again: %s", a.body)
	}
}
