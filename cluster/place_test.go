package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
)

func targets(n int, change func(i int, n *Node)) *View {
	m := &Map{Nodes: map[NodeID]*Node{}}
	for i := range n {
		id := NodeID(fmt.Sprintf("target-%03d", i))
		nd := &Node{ID: id, Role: RoleTarget, State: Online, Weight: DefaultWeight, Digest: NodeDigest(string(id))}
		if change != nil {
			change(i, nd)
		}
		m.Nodes[id] = nd
	}
	return (&View{Map: m, Buckets: &BucketMap{}}).Freeze()
}

func shares(v *View, b *Bucket, names int) map[NodeID]int {
	got := map[NodeID]int{}
	for i := range names {
		got[v.Owner(b, "shard-"+strconv.Itoa(i)+".tar").ID]++
	}
	return got
}

func TestBalance(t *testing.T) {
	const nodes, names = 100, 1_000_000
	got := shares(targets(nodes, nil), &Bucket{Seed: 7}, names)
	most := 0
	for _, n := range got {
		most = max(most, n)
	}
	ratio := float64(most) * nodes / names
	t.Logf("max/mean %.4f over %d nodes and %d names", ratio, nodes, names)
	if ratio > 1.1 || len(got) != nodes {
		t.Errorf("max/mean %.4f over %d nodes", ratio, len(got))
	}
}

func TestWeights(t *testing.T) {
	const nodes, names = 20, 400_000
	v := targets(nodes, func(i int, n *Node) { n.Weight = uint32(50 * (i % 4)) }) // 0, 50, 100, 150
	got := shares(v, &Bucket{Seed: 7}, names)
	for id, n := range v.Map.Nodes {
		want := float64(names) * float64(n.Weight) / (nodes / 4 * 300)
		if d := math.Abs(float64(got[id]) - want); n.Weight == 0 && got[id] != 0 || d > 5*math.Sqrt(want) {
			t.Errorf("%s of weight %d owns %d names, expected about %.0f", id, n.Weight, got[id], want)
		}
	}
}

// TestMinimalMovement lets a node come, go, and change weight: names move only to or from that node.
func TestMinimalMovement(t *testing.T) {
	const names = 50_000
	b := &Bucket{Seed: 99}
	for _, c := range []struct {
		name          string
		before, after *View
		id            NodeID  // the only node that names may leave or reach
		share         float64 // of the names that move
	}{
		{"one comes", targets(10, nil), targets(11, nil), "target-010", 1. / 11},
		{"one goes", targets(10, nil), targets(10, func(i int, n *Node) {
			if i == 4 {
				n.State = Maintenance
			}
		}), "target-004", 1. / 10},
		{"one of unequal weight comes", targets(10, nil), targets(11, func(i int, n *Node) {
			if i == 10 {
				n.Weight = 250
			}
		}), "target-010", 250. / 1250},
		{"one grows", targets(10, nil), targets(10, func(i int, n *Node) {
			if i == 3 {
				n.Weight = 200
			}
		}), "target-003", 200./1100 - 1./10},
	} {
		moved := 0
		for i := range names {
			key := "x/" + strconv.Itoa(i)
			from, to := c.before.Owner(b, key).ID, c.after.Owner(b, key).ID
			if from == to {
				continue
			}
			if moved++; from != c.id && to != c.id {
				t.Fatalf("%s: %s moved from %s to %s", c.name, key, from, to)
			}
		}
		if want := c.share * names; math.Abs(float64(moved)-want) > 5*math.Sqrt(want) {
			t.Errorf("%s: %d names moved, expected about %.0f", c.name, moved, want)
		}
	}
}

func TestRankedSpreadsOverZones(t *testing.T) {
	v := targets(9, func(i int, n *Node) { n.Zone = string(rune('a' + i%3)) })
	b := &Bucket{Seed: 5}
	for i := range 2000 {
		key := strconv.Itoa(i)
		ranked := v.Ranked(b, key, 5)
		if len(ranked) != 5 || ranked[0] != v.Owner(b, key) {
			t.Fatalf("%s: %v, owner %s", key, ranked, v.Owner(b, key).ID)
		}
		zones, seen := map[string]int{}, map[NodeID]bool{}
		for j, n := range ranked {
			if zones[n.Zone]++; j < 3 && zones[n.Zone] > 1 || seen[n.ID] {
				t.Fatalf("%s: two of the first three in zone %s, or a node twice", key, n.Zone)
			}
			seen[n.ID] = true
		}
	}
	if n := len(v.Ranked(b, "k", 20)); n != 9 {
		t.Errorf("%d of 9 nodes ranked", n)
	}
	if none := targets(3, func(_ int, n *Node) { n.State = Standby }); none.Owner(b, "k") != nil || len(none.Ranked(b, "k", 2)) != 0 {
		t.Error("a standby owns")
	}
}

// Equal weights are compared without logarithms; that must not change the winner.
func TestPickAgreesWithScore(t *testing.T) {
	same := make([]Candidate, 12)
	for i := range same {
		same[i] = Candidate{NodeDigest(strconv.Itoa(i)), 300}
	}
	for i := range 20_000 {
		name := Digest(1, strconv.Itoa(i))
		best := 0
		for j := range same {
			if Score(Mix(name, same[j].Digest), 300) > Score(Mix(name, same[best].Digest), 300) {
				best = j
			}
		}
		if got := Pick(name, same); got != best {
			t.Fatalf("name %d: picked %d, the best score has %d", i, got, best)
		}
	}
	if Pick(1, nil) != -1 || Pick(1, []Candidate{{1, 0}, {2, 0}}) != -1 || Pick(1, []Candidate{{1, 0}, {2, 1}}) != 1 {
		t.Error("no candidate, or none with weight")
	}
}

// Nor must the bound that saves most logarithms where weights differ.
func TestPickByWeightAgreesWithScore(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 7)) //nolint:gosec // numbers for a test
	for i := range 50_000 {
		cs := make([]Candidate, 1+rnd.IntN(40))
		for j := range cs {
			cs[j] = Candidate{rnd.Uint64(), uint32(rnd.IntN(4)) * uint32(1+rnd.IntN(1<<(1+rnd.IntN(30))))} //nolint:gosec // fits
		}
		name, best := rnd.Uint64(), -1
		for j, c := range cs {
			if c.Weight > 0 && (best < 0 || Score(Mix(name, c.Digest), c.Weight) > Score(Mix(name, cs[best].Digest), cs[best].Weight)) {
				best = j
			}
		}
		if got := Pick(name, cs); got != best {
			t.Fatalf("round %d: picked %d of %v, the best score has %d", i, got, cs, best)
		}
	}
}

// Nanoseconds per owner among so many candidates, of one weight and of weights that differ.
func BenchmarkPick(b *testing.B) {
	for _, n := range []int{4, 100, 1000} {
		for _, weights := range []uint32{1, 50} {
			cs := make([]Candidate, n)
			for i := range cs {
				cs[i] = Candidate{NodeDigest(strconv.Itoa(i)), 100 + uint32(i)%weights} //nolint:gosec // small
			}
			b.Run(fmt.Sprintf("candidates=%d/weights=%d", n, weights), func(b *testing.B) {
				for i := 0; b.Loop(); i++ {
					Pick(uint64(i)*0x9e3779b97f4a7c15, cs) //nolint:gosec // wraps
				}
			})
		}
	}
}

// vectors is testdata/placement.json; docs/format/placement.md describes it.
type vectors struct {
	Comment string         `json:"comment"`
	Digests []digestVector `json:"digests"`
	Mixes   []mixVector    `json:"mixes"`
	Cases   []placeVector  `json:"cases"`
}

type digestVector struct {
	Key    string `json:"key"`
	Seed   string `json:"seed"` // 64-bit numbers are hexadecimal: JSON numbers would lose bits
	Digest string `json:"digest"`
}

type mixVector struct {
	Name   string  `json:"name"`
	Node   string  `json:"node"`
	Mix    string  `json:"mix"`
	Weight uint32  `json:"weight"`
	Score  float64 `json:"score"`
}

type placeVector struct {
	Nodes []placeNode `json:"nodes"`
	Seed  string      `json:"seed"`
	Keys  []placeKey  `json:"keys"`
}

type placeNode struct {
	ID     NodeID `json:"id"`
	Weight uint32 `json:"weight"`
	Zone   string `json:"zone"`
	Digest string `json:"digest"`
}

type placeKey struct {
	Key    string   `json:"key"`
	Digest string   `json:"digest"`
	Owner  NodeID   `json:"owner"`
	Ranked []NodeID `json:"ranked"`
}

func hex64(n uint64) string { return fmt.Sprintf("%016x", n) }

func makeVectors() vectors {
	v := vectors{Comment: "Placement test vectors; see docs/format/placement.md. 64-bit numbers are hexadecimal."}
	keys := []string{"", "a", "a/b", "shard-000001.tar", "imagenet/train/n01440764/n01440764_10026.JPEG", "größe", "日本/語", "..", "//", "exactly thirty-two bytes long ok.", "a name that is longer than thirty-two bytes and then goes on a bit"}
	for _, seed := range []uint64{0, 1, 0x3a0563669d72c8c5, math.MaxUint64} {
		for _, k := range keys {
			v.Digests = append(v.Digests, digestVector{k, hex64(seed), hex64(Digest(seed, k))})
		}
	}
	for i, p := range [][2]uint64{{0, 0}, {1, 0}, {0, 1}, {math.MaxUint64, 0}, {0x0123456789abcdef, 0xfedcba9876543210}} {
		w := uint32(50 * (i + 1))
		m := Mix(p[0], p[1])
		v.Mixes = append(v.Mixes, mixVector{hex64(p[0]), hex64(p[1]), hex64(m), w, Score(m, w)})
	}
	for i, change := range []func(int, *Node){
		nil,
		func(i int, n *Node) { n.Weight = uint32(100 + 37*i) },
		func(i int, n *Node) { n.Zone = string(rune('a' + i%3)) },
		func(i int, n *Node) { n.Weight, n.Zone = uint32(25*(i%5)), string(rune('a'+i%2)) },
	} {
		v.Cases = append(v.Cases, makeCase(targets(5+3*i, change), Mix(uint64(i), 42), keys[1:]))
	}
	return v
}

func makeCase(view *View, seed uint64, keys []string) placeVector {
	c := placeVector{Seed: hex64(seed)}
	for _, n := range view.Map.Targets() {
		c.Nodes = append(c.Nodes, placeNode{n.ID, n.Weight, n.Zone, hex64(n.Digest)})
	}
	b := &Bucket{Seed: seed}
	for i := range 40 {
		keys = append(keys[:len(keys):len(keys)], fmt.Sprintf("obj-%04d", i))
	}
	for _, k := range keys {
		pk := placeKey{Key: k, Digest: hex64(Digest(seed, k)), Owner: view.Owner(b, k).ID}
		for _, n := range view.Ranked(b, k, 4) {
			pk.Ranked = append(pk.Ranked, n.ID)
		}
		c.Keys = append(c.Keys, pk)
	}
	return c
}

const vectorFile = "testdata/placement.json"

func TestPlacementVectors(t *testing.T) {
	got, err := json.MarshalIndent(makeVectors(), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *update {
		if err := os.WriteFile(vectorFile, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != string(got) {
		t.Errorf("placement has changed, which would lose every stored object: %s", firstDifference(string(want), string(got)))
	}
}

// TestVectorsInPython checks the vectors with an implementation that shares no code with this one.
func TestVectorsInPython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3")
	}
	out, err := exec.Command(python, "testdata/placement.py", vectorFile).CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) || err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}
