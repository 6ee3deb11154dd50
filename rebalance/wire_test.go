package rebalance

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"aistore/cksum"
	"aistore/errs"
	"aistore/object"
	"aistore/store"
)

func sampleState() store.KeyState {
	return store.KeyState{
		Authority: 7, Version: object.Version{Epoch: 5, Counter: 1 << 40}, Exists: true, Deleted: true, Size: 123456,
		Checksum: cksum.Of(cksum.XXHash, []byte("x")),
	}
}

func TestWire(t *testing.T) {
	keys := []offered{{object.Name{Bucket: 1, Key: "a"}, sampleState()}, {object.Name{Bucket: 1 << 60, Key: "ä/b"}, store.KeyState{Authority: 9}}}
	got, err := decodeOffer(appendOffer(nil, keys))
	if err != nil || !reflect.DeepEqual(got, keys) {
		t.Errorf("offer: %+v %v", got, err)
	}
	as := []answer{{outcome: outApplied, state: sampleState()}, {err: errs.E("op", "name", errs.Full, "no room")}, {outcome: outWanted}}
	back, err := decodeAnswers(appendAnswers(nil, as), 3)
	if err != nil || back[0] != as[0] || back[2] != as[2] || !errs.Is(back[1].err, errs.Full) {
		t.Errorf("answers: %+v %v", back, err)
	}
	if _, err := decodeAnswers(appendAnswers(nil, as), 2); err == nil {
		t.Error("three answers for two keys are taken")
	}
	msg := appendOffer(nil, keys)
	for i := range msg {
		bad := bytes.Clone(msg)
		bad[i] ^= 0x20
		if _, err := decodeOffer(bad); err == nil {
			t.Fatalf("an offer with byte %d changed is taken", i)
		}
	}
}

func FuzzDecodeOffer(f *testing.F) {
	f.Add(appendOffer(nil, []offered{{object.Name{Bucket: 1, Key: "a"}, sampleState()}}))
	f.Fuzz(func(t *testing.T, msg []byte) {
		keys, err := decodeOffer(seal(bytes.Clone(msg)))
		if err != nil {
			return
		}
		if again, err := decodeOffer(appendOffer(nil, keys)); err != nil || !reflect.DeepEqual(again, keys) {
			t.Errorf("%+v became %+v: %v", keys, again, err)
		}
	})
}

func FuzzDecodeAnswers(f *testing.F) {
	f.Add(appendAnswers(nil, []answer{{outcome: outHad, state: sampleState()}}), 1)
	f.Add(appendAnswers(nil, []answer{{err: errors.New("x")}}), 1)
	f.Fuzz(func(t *testing.T, msg []byte, n int) {
		as, err := decodeAnswers(seal(bytes.Clone(msg)), n)
		if err == nil && len(as) != n {
			t.Errorf("%d answers for %d keys", len(as), n)
		}
	})
}

// TestHolds refuses acknowledgements that do not say that the owner is as far as the source.
func TestHolds(t *testing.T) {
	sent := offered{object.Name{Bucket: 1, Key: "a"}, sampleState()}
	sent.state.Deleted = false
	with := func(outcome uint8, change func(*store.KeyState)) *answer {
		a := &answer{outcome: outcome, state: sent.state}
		change(&a.state)
		return a
	}
	same := func(*store.KeyState) {}
	for name, a := range map[string]*answer{
		"applied": with(outApplied, same), "had": with(outHad, same),
		"applied under a greater mark": with(outApplied, func(k *store.KeyState) { k.Authority++ }),
		"newer version":                with(outLower, func(k *store.KeyState) { k.Version.Counter++; k.Checksum.Value = "00" }),
		"deleted in a later epoch":     with(outLower, func(k *store.KeyState) { *k = store.KeyState{Authority: k.Authority + 1} }),
	} {
		if err := holds(&sent, a, 3); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, a := range map[string]*answer{
		"other content":    with(outHad, func(k *store.KeyState) { k.Checksum = cksum.Of(cksum.XXHash, []byte("y")) }),
		"older version":    with(outHad, func(k *store.KeyState) { k.Version.Counter-- }),
		"nothing":          with(outApplied, func(k *store.KeyState) { *k = store.KeyState{} }),
		"lower and equal":  with(outLower, same),
		"a mark that ends": with(outHad, func(k *store.KeyState) { k.Authority = 3 }),
	} {
		if err := holds(&sent, a, 3); !errs.Is(err, errs.Conflict) {
			t.Errorf("%s is taken for an acknowledgement: %v", name, err)
		}
	}
}
