package cluster

import (
	"math"
	"sort"

	"aistore/cksum"
)

// Placement is weighted rendezvous hashing (Thaler and Ravishankar 1998; weights as in Schindelhauer and
// Schomaker 2005): every candidate has a score per name and the highest wins, so a candidate that comes or
// goes moves only its own share. testdata/placement.json holds test vectors for other implementations.

// Digest is the placement digest of a name: xxHash64 of the key's bytes with the bucket's placement seed.
func Digest(seed uint64, key string) uint64 { return cksum.DigestString64(key, seed) }

// NodeDigest is the placement digest of a candidate's identity: xxHash64 of the id with seed 0.
func NodeDigest(id string) uint64 { return cksum.DigestString64(id, 0) }

// Mix is the finaliser of SplitMix64 over the two digests' exclusive or: 64 uniform bits per pair.
func Mix(name, node uint64) uint64 {
	z := (name ^ node) + 0x9e3779b97f4a7c15
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return z ^ (z >> 31)
}

// Score is -weight / ln(u) where u is Mix's upper 53 bits as (x+0.5)/2^53, inside (0,1). Higher wins.
func Score(mix uint64, weight uint32) float64 {
	return -float64(weight) / math.Log(unit(mix))
}

func unit(mix uint64) float64 { return (float64(mix>>11) + 0.5) / (1 << 53) }

// Candidate is what placement needs to know of a target or a mountpath.
type Candidate struct {
	Digest uint64
	Weight uint32
}

// Pick returns the index of the winner among cs for a name digest, -1 if there is none with weight. Equal
// weights are compared by Mix alone, which orders as Score does. Of different ones most need no logarithm
// either: -ln(u) is at least 1-u, so a Score is at most weight / (1-u).
func Pick(name uint64, cs []Candidate) int {
	best, equal := -1, true
	for i := 1; i < len(cs); i++ {
		equal = equal && cs[i].Weight == cs[0].Weight
	}
	if equal {
		var top uint64
		for i, c := range cs {
			if m := Mix(name, c.Digest); c.Weight > 0 && (best < 0 || m > top) {
				best, top = i, m
			}
		}
		return best
	}
	var top float64
	for i, c := range cs {
		if c.Weight == 0 {
			continue
		}
		m := Mix(name, c.Digest)
		if float64(c.Weight) < top*(1-unit(m))*rounding {
			continue
		}
		if s := Score(m, c.Weight); best < 0 || s > top {
			best, top = i, s
		}
	}
	return best
}

// rounding is more than what floating point can add to the bound of a Score.
const rounding = 1 - 1e-9

type placement struct {
	nodes []*Node // in service, ordered by id: equal scores go to the lower id
	cands []Candidate
}

func newPlacement(nodes []*Node) placement {
	p := placement{nodes: nodes, cands: make([]Candidate, len(nodes))}
	for i, n := range nodes {
		p.cands[i] = Candidate{n.Digest, n.Weight}
	}
	return p
}

func (p placement) owner(name uint64) *Node {
	if i := Pick(name, p.cands); i >= 0 {
		return p.nodes[i]
	}
	return nil
}

func (p placement) ranked(name uint64, n int) []*Node {
	order := make([]int, 0, len(p.nodes))
	score := make([]float64, len(p.nodes))
	for i, c := range p.cands {
		if c.Weight > 0 {
			score[i] = Score(Mix(name, c.Digest), c.Weight)
			order = append(order, i)
		}
	}
	sort.SliceStable(order, func(a, b int) bool { return score[order[a]] > score[order[b]] })
	picked := make([]*Node, 0, min(n, len(order)))
	taken := make([]bool, len(p.nodes))
	zones := map[string]bool{}
	for pass := 0; pass < 2 && len(picked) < n; pass++ { // first one per zone, then whoever is left
		for _, i := range order {
			nd := p.nodes[i]
			if len(picked) == n {
				break
			}
			if taken[i] || pass == 0 && nd.Zone != "" && zones[nd.Zone] {
				continue
			}
			taken[i], zones[nd.Zone] = true, true
			picked = append(picked, nd)
		}
	}
	return picked
}
