package tree

import (
	"context"
	"testing"

	"aistore/api/client"
)

// readSDK reads every file back through the Go SDK, which goes straight to the owners.
func (s *source) readSDK(t *testing.T, endpoint string) {
	t.Helper()
	c, err := client.New(client.Options{Endpoints: []string{endpoint}})
	must(t, err)
	defer c.Close()
	b := c.Bucket(bucket)
	s.each(t, func(name string) error {
		r, err := b.Get(context.Background(), prefix+name, client.GetOptions{})
		if err != nil {
			return err
		}
		defer r.Close()
		return s.compare(name, r)
	})
}
