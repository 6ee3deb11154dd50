package sdk

import (
	"testing"

	"aistore/api"
	"aistore/api/client"
	"aistore/cluster"
	"aistore/errs"
)

// TestUsers manages users and keys through the SDK.
func TestUsers(t *testing.T) {
	c := start(t, 1, 2)
	cl := dial(t, c, nil)
	auth, ctx := cl.Auth(), t.Context()
	us, err := auth.Users(ctx)
	if err != nil || len(us) != 1 || us[0].Role != cluster.Admin || us[0].Name != "aisadmin" || us[0].Keys[0].Access != "aisadmin" {
		t.Fatalf("a new cluster has %+v, %v", us, err)
	}
	if err := auth.AddUser(ctx, api.AddUserMsg{Name: "ann", Role: cluster.ReadOnly, Email: "ann@example.org"}); err != nil {
		t.Fatal(err)
	}
	pair, err := auth.AddKey(ctx, "ann", client.KeyPair{})
	if err != nil {
		t.Fatal(err)
	}
	own := client.KeyPair{Access: "ann.second", Secret: "ann-second-secret"}
	if got, err := auth.AddKey(ctx, "ann", own); err != nil || got != own {
		t.Fatalf("%v %v", got, err)
	}
	display := "Ann"
	if err := auth.SetUser(ctx, "ann", api.SetUserMsg{Role: cluster.Plain, Display: &display}); err != nil {
		t.Fatal(err)
	}
	u, err := auth.User(ctx, "ann")
	if err != nil || u.ID != pair.Access || u.Display != "Ann" || u.Role != cluster.Plain || len(u.Keys) != 2 {
		t.Errorf("%+v, %v", u, err)
	}
	if err := auth.RemoveKey(ctx, pair.Access); err != nil {
		t.Fatal(err)
	}
	if u, err := auth.User(ctx, "ann"); err != nil || u.ID != pair.Access || len(u.Keys) != 1 || u.Keys[0].Access != own.Access {
		t.Errorf("%+v, %v", u, err)
	}
	if err := auth.RemoveUser(ctx, "ann"); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"user": last(auth.User(ctx, "ann")), "key": auth.RemoveKey(ctx, own.Access), "set": auth.SetUser(ctx, "ann", api.SetUserMsg{Role: cluster.Admin}),
		"remove": auth.RemoveUser(ctx, "ann"), "add key": last(auth.AddKey(ctx, "ann", own)),
	} {
		if !errs.Is(err, errs.NotFound) {
			t.Errorf("%s of a user who is gone: %v", what, err)
		}
	}
	if err := auth.RemoveUser(ctx, "aisadmin"); !errs.Is(err, errs.Conflict) {
		t.Errorf("the last administrator: %v", err)
	}

	b := bucket(t, cl, "versions", client.Props{"versioning.enabled": "true", "s3.multi_range": "true"})
	p, err := b.Props(ctx)
	if err != nil || !p.Versioning.Enabled || !p.S3.MultiRange || p.Owner != "" {
		t.Errorf("%+v, %v", p, err)
	}
	if err := b.ResetProps(ctx); err != nil {
		t.Fatal(err)
	}
	v, err := cl.View(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if s := v.Buckets.Get("", "versions").Props.S3; s != (cluster.S3Props{Versioning: cluster.VersioningSuspended}) {
		t.Errorf("after a reset: %+v", s)
	}
	if len(v.Users.Users) != 0 || v.Secret != nil {
		t.Error("clients see users or the secret")
	}
}
