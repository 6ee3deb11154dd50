package client_test

import (
	"context"
	"fmt"
	"strings"

	"aistore/api/client"
	"aistore/errs"
)

// Example is the program of docs/go-sdk.md; it needs a cluster, so it is only compiled.
func Example() {
	ctx := context.Background()
	c, err := client.New(client.Options{}) // AIS_ENDPOINT, else http://127.0.0.1:8080
	if err != nil {
		panic(err)
	}
	defer c.Close()

	b := c.Bucket("train")
	if err := b.Create(ctx, nil); err != nil && !errs.Is(err, errs.Exists) {
		panic(err)
	}
	info, err := b.Put(ctx, "shards/0001.txt", client.Bytes([]byte("hello, world")), client.PutOptions{
		ContentType: "text/plain", Custom: map[string]string{"source": "readme"},
	})
	if err != nil {
		panic(err)
	}
	fmt.Println("stored", info.Version, info.Checksum, "durable:", info.Durability)

	r, err := b.Get(ctx, "shards/0001.txt", client.GetOptions{})
	if err != nil {
		panic(err)
	}
	var text strings.Builder
	if _, err := r.WriteTo(&text); err != nil { // nil means: every byte was compared with the checksum
		panic(err)
	}
	r.Close()
	fmt.Println(text.String())

	for e, err := range b.List(ctx, client.ListOptions{Prefix: "shards/"}) {
		if err != nil {
			panic(err)
		}
		fmt.Println(e.Name, e.Size)
	}
}
