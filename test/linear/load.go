package linear

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"aistore/test/plain"
	"aistore/test/value"
)

// Client is one way to the cluster. *plain.Client is the native API's; errors of another must be plain's too.
type Client interface {
	Endpoint() string
	Put(ctx context.Context, bucket, name string, body []byte, hs ...plain.Header) (plain.Meta, error)
	Get(ctx context.Context, bucket, name string, hs ...plain.Header) ([]byte, plain.Meta, error)
	Head(ctx context.Context, bucket, name string, hs ...plain.Header) (plain.Meta, error)
	Delete(ctx context.Context, bucket, name string, hs ...plain.Header) error
	List(ctx context.Context, bucket string, q plain.ListQuery) ([]plain.Entry, error)
}

// Plain returns clients of the native API as what Load takes.
func Plain(cs ...*plain.Client) []Client {
	all := make([]Client, len(cs))
	for i, c := range cs {
		all[i] = c
	}
	return all
}

// Load is a mixed load over few names.
type Load struct {
	Clients []Client // each request for an object goes to one of them
	Listers []Client // lists go to them: gateways; nil = Clients
	Bucket  string
	Names   []string
	Workers int
	Ops     int           // per worker; 0 = until the context ends
	Timeout time.Duration // of one request; 0 = 20 s
	Sizes   []int64       // one is drawn for each write; nil = DefaultSizes
	Lists   bool          // one more worker lists the bucket all the time
	S3      bool          // the clients speak S3: a DELETE does not say whether there was something, and there are no versions
	Seed    uint64
	History *History

	ids atomic.Uint64
}

// DefaultSizes has mostly small objects, some on either side of what a store may keep inside its index, some of
// several blocks.
func DefaultSizes() []int64 {
	return []int64{8, 100, 1000, 4096, 4096, 4096, 10_000, 60_000, 131_072, 131_073, 300_000, 1 << 20}
}

// backOff is how long a worker rests after a request that was not served.
const backOff = 100 * time.Millisecond

// Names returns n names.
func Names(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = "obj-" + strconv.Itoa(i)
		if i%10 == 0 { // names that are prefixes of others
			names[i] = "dir/" + strconv.Itoa(i/10)
		}
	}
	return names
}

func (l *Load) withDefaults() {
	if l.Timeout == 0 {
		l.Timeout = 20 * time.Second
	}
	if l.Sizes == nil {
		l.Sizes = DefaultSizes()
	}
	if l.Listers == nil {
		l.Listers = l.Clients
	}
	if l.History == nil {
		l.History = NewHistory()
	}
}

// Run makes requests until every worker has done its share or ctx ends, and returns what they saw. A request in
// flight when ctx ends is waited for: ctx stops the load, not its requests.
func (l *Load) Run(ctx context.Context) *History {
	l.withDefaults()
	l.ids.Store(l.Seed<<32 | uint64(l.History.Now())>>10<<8)
	requests := context.WithoutCancel(ctx)
	var workers sync.WaitGroup
	for w := range l.Workers {
		workers.Go(func() {
			rnd := rand.New(rand.NewPCG(l.Seed, uint64(w)))
			last := map[string]*Op{} // what this worker saw last: the base of its swaps
			for i := 0; (l.Ops == 0 || i < l.Ops) && ctx.Err() == nil; i++ {
				l.one(requests, rnd, w, last)
			}
		})
	}
	if !l.Lists {
		workers.Wait()
		return l.History
	}
	listing, stop := context.WithCancel(ctx)
	var lister sync.WaitGroup
	lister.Go(func() {
		for i := 0; listing.Err() == nil; i++ {
			_ = l.List(requests, l.Listers[i%len(l.Listers)])
		}
	})
	workers.Wait()
	stop()
	lister.Wait()
	return l.History
}

// one makes one request.
func (l *Load) one(ctx context.Context, rnd *rand.Rand, worker int, last map[string]*Op) {
	c := l.Clients[rnd.IntN(len(l.Clients))]
	o := &Op{Client: worker, Via: c.Endpoint(), Name: l.Names[rnd.IntN(len(l.Names))]}
	switch p := rnd.IntN(100); {
	case p < 35:
		o.Kind = Get
	case p < 45:
		o.Kind = Head
	case p < 70:
		o.Kind = Put
	case p < 78:
		o.Kind = Create
	case p < 86:
		o.Kind = Swap
		if last[o.Name] == nil {
			o.Kind = Get
		}
	default:
		o.Kind = Delete
	}
	var base *Op
	if o.Kind == Swap {
		base = last[o.Name]
		o.Expect = base.Value
	}
	if o.Kind == Put || o.Kind == Create || o.Kind == Swap {
		o.Size = l.Sizes[rnd.IntN(len(l.Sizes))]
		o.Value = l.ids.Add(1)
	}
	ctx, cancel := context.WithTimeout(ctx, l.Timeout)
	defer cancel()
	l.Do(ctx, c, o, base)
	if o.Result == OK && o.Kind != Delete && o.Kind != Head {
		last[o.Name] = o
	}
	if o.Result == Unknown && o.Return == Never || o.Result == Nothing {
		time.Sleep(backOff) // a node that is starting refuses at once, and each refused write is one more that may have had an effect
	}
}

// Do sends o through c and records it. A Swap needs base, the operation whose ETag it expects.
func (l *Load) Do(ctx context.Context, c Client, o, base *Op) {
	var hs []plain.Header
	switch o.Kind {
	case Create:
		hs = append(hs, plain.IfAbsent())
	case Swap:
		hs = append(hs, plain.IfMatch(base.ETag))
	}
	var body []byte
	if o.Value != 0 {
		body = value.Value{ID: o.Value, Size: o.Size}.Bytes()
	}
	var m plain.Meta
	var err error
	var got []byte
	o.Call = l.History.Now()
	switch o.Kind {
	case Get:
		got, m, err = c.Get(ctx, l.Bucket, o.Name)
	case Head:
		m, err = c.Head(ctx, l.Bucket, o.Name)
	case Delete:
		err = c.Delete(ctx, l.Bucket, o.Name)
	default:
		m, err = c.Put(ctx, l.Bucket, o.Name, body, hs...)
	}
	o.Return = l.History.Now()
	if err == nil {
		o.ETag, o.Version = m.ETag, m.Version
	}
	l.classify(o, got, m, err)
	l.History.Add(o)
}

// classify turns the answer into what the history may rely on.
func (l *Load) classify(o *Op, got []byte, m plain.Meta, err error) {
	if err != nil {
		o.Err = err.Error()
	}
	switch status := plain.Status(err); {
	case o.Kind == Get || o.Kind == Head:
		o.Result = readResult(status, err)
	case o.Kind == Delete && status == http.StatusNotFound:
		o.Result = Absent
	case (o.Kind == Create || o.Kind == Swap) && status == http.StatusPreconditionFailed, l.S3 && o.Kind == Swap && status == http.StatusNotFound:
		o.Result = Failed
	case l.S3 && o.Kind == Delete && err == nil:
		o.Result = Unknown // of what was there before; it took effect before it returned
		return
	default:
		o.Result = map[plain.Outcome]Result{plain.Done: OK, plain.NotDone: Nothing, plain.Unknown: Unknown}[plain.OutcomeOf(err)]
	}
	if o.Result == Unknown {
		o.Return = Never
	}
	if o.Result != OK {
		return
	}
	if o.Kind != Delete && (o.ETag == "" || o.Version == "" && !l.S3) {
		l.History.Fault(fmt.Errorf("no ETag or version in the reply to %v", o))
	}
	if o.Kind == Get {
		v, err := value.Parse(got)
		if err != nil {
			l.History.Fault(fmt.Errorf("%v read what nobody wrote: %w", o, err))
			o.Result = Nothing
		}
		o.Value, o.Size = v.ID, v.Size
	}
	if o.Kind == Head {
		o.Size = m.Size
	}
}

func readResult(status int, err error) Result {
	switch {
	case err == nil:
		return OK
	case status == http.StatusNotFound:
		return Absent
	}
	return Nothing
}

// List lists the bucket through c and records it; a failure is the caller's to judge and not recorded.
func (l *Load) List(ctx context.Context, c Client) error {
	ctx, cancel := context.WithTimeout(ctx, l.Timeout)
	defer cancel()
	li := &Listing{Via: c.Endpoint(), Call: l.History.Now(), Sizes: map[string]int64{}}
	es, err := c.List(ctx, l.Bucket, plain.ListQuery{PageSize: 17})
	if err != nil {
		return err
	}
	li.Return = l.History.Now()
	for _, e := range es {
		li.Sizes[e.Name] = e.Size
	}
	l.History.AddListing(li)
	return nil
}

// Audit reads every name through every client and lists the bucket, as the last word of a history. Each of these must
// answer.
func (l *Load) Audit(ctx context.Context) error {
	l.withDefaults()
	var all []error
	for i, c := range l.Clients {
		for _, name := range l.Names {
			o := &Op{Client: 1000 + i, Via: c.Endpoint(), Kind: Get, Name: name}
			one, cancel := context.WithTimeout(ctx, l.Timeout)
			l.Do(one, c, o, nil)
			cancel()
			if o.Result == Nothing && o.Err != "" { // what was read and is wrong is among the history's faults
				all = append(all, fmt.Errorf("audit: %s cannot be read: %s", name, o.Err))
			}
		}
	}
	for _, c := range l.Listers {
		if err := l.List(ctx, c); err != nil {
			all = append(all, fmt.Errorf("audit: list via %s: %w", c.Endpoint(), err))
		}
	}
	return errors.Join(all...)
}
