package store

import (
	"sync"
	"sync/atomic"

	"aistore/cksum"
	"aistore/object"
)

// nameLocks serialises the writers of a name. Names share a lock when their digests end alike: with this
// many shards 32 writers rarely meet, so a lock held across a sync does not defeat group commit.
//
// The index shows a batch to readers before its sync is done. A reader that returned it would have
// told of a write that a crash can still undo, so each shard also says that a commit is under way and
// readers of that shard wait for its end. Idle, that costs them one atomic load.
type nameLocks struct {
	shards [lockShards]nameLock
}

const lockShards = 4096

type nameLock struct {
	mu         sync.Mutex
	committing atomic.Bool // written under mu
}

func (l *nameLocks) shard(n object.Name) uint64 {
	return cksum.DigestString64(n.Key, n.Bucket) % lockShards
}

func (l *nameLocks) of(n object.Name) *nameLock { return &l.shards[l.shard(n)] }

// pair locks two names without deadlock and returns how to unlock them.
func (l *nameLocks) pair(a, b object.Name) (la, lb *nameLock, unlock func()) {
	i, j := l.shard(a), l.shard(b)
	la, lb = &l.shards[i], &l.shards[j]
	if i == j {
		la.mu.Lock()
		return la, lb, la.mu.Unlock
	}
	first, second := la, lb
	if i > j {
		first, second = lb, la
	}
	first.mu.Lock()
	second.mu.Lock()
	return la, lb, func() { second.mu.Unlock(); first.mu.Unlock() }
}

// settle waits until what a reader saw of the shard is durable or has failed.
func (l *nameLock) settle() {
	if l.committing.Load() {
		l.mu.Lock()
		l.mu.Unlock() //nolint:staticcheck // waiting is the purpose
	}
}

// barrier returns after every writer that held a lock has let it go once.
func (l *nameLocks) barrier() {
	for i := range l.shards {
		l.shards[i].mu.Lock()
		l.shards[i].mu.Unlock() //nolint:staticcheck // waiting is the purpose
	}
}

// groupSync lets callers that arrive while a sync runs share the next one.
type groupSync struct {
	mu      sync.Mutex
	running bool
	next    *syncRound
}

type syncRound struct {
	start chan struct{}
	once  sync.Once
	err   error
}

func (g *groupSync) do(sync func() error) error {
	g.mu.Lock()
	if g.next == nil {
		g.next = &syncRound{start: make(chan struct{})}
	}
	r := g.next
	if !g.running {
		g.running = true
		g.begin()
	}
	g.mu.Unlock()
	<-r.start
	r.once.Do(func() { // the first that wakes syncs for all
		r.err = sync()
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.next == nil {
			g.running = false
			return
		}
		g.begin()
	})
	return r.err
}

// begin lets the members of the next round go; the caller holds mu.
func (g *groupSync) begin() {
	close(g.next.start)
	g.next = nil
}
