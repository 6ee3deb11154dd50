package store

import (
	"slices"
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
//
// Whoever changes a name's record holds the name's lock, always: what was read from the index is known to be
// still so by the lock not having been taken since.
type nameLocks struct {
	shards [lockShards]nameLock
}

const lockShards = 4096

type nameLock struct {
	mu         turnMutex
	committing atomic.Bool // written under mu
}

// turnMutex is a mutex that counts how often it was taken and let go: the turn, odd while a writer holds it. See package hot.
type turnMutex struct {
	plain sync.Mutex // for who waits for writers and is none
	turn  atomic.Uint64
}

// Lock begins a writer's turn.
func (m *turnMutex) Lock() {
	m.plain.Lock()
	m.turn.Add(1)
}

// Unlock ends it.
func (m *turnMutex) Unlock() {
	m.turn.Add(1)
	m.plain.Unlock()
}

// ownTurn stands for the turn of who holds the lock.
const ownTurn = 1

func digestOf(n object.Name) uint64 { return cksum.DigestString64(n.Key, n.Bucket) }

func (l *nameLocks) shard(n object.Name) uint64 { return digestOf(n) % lockShards }

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

// shardsOf returns the shards of names in the order in which they are to be locked.
func (l *nameLocks) shardsOf(names []object.Name) []uint64 {
	shards := make([]uint64, len(names))
	for i := range names {
		shards[i] = l.shard(names[i])
	}
	slices.Sort(shards)
	return slices.Compact(shards)
}

// lockNames locks many names without deadlock and returns how to unlock them.
func (s *places) lockNames(names []object.Name) (unlock func()) {
	shards := s.locks.shardsOf(names)
	for _, i := range shards {
		s.locks.shards[i].mu.Lock()
	}
	return func() {
		for _, i := range shards {
			s.locks.shards[i].mu.Unlock()
		}
	}
}

// settle waits until what a reader saw of the shard is durable or has failed.
func (l *nameLock) settle() {
	if l.committing.Load() {
		l.mu.plain.Lock()
		l.mu.plain.Unlock() //nolint:staticcheck // waiting is the purpose
	}
}

// barrier returns after every writer that held a lock has let it go once.
func (l *nameLocks) barrier() {
	for i := range l.shards {
		l.shards[i].mu.plain.Lock()
		l.shards[i].mu.plain.Unlock() //nolint:staticcheck // waiting is the purpose
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
