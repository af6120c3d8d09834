// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/question"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/verify"
)

// An hour in a large cluster: all the while 10,000 Pods of 10 images each are
// there, 1,000 images in all. Each Pod is replaced once, and each minute an audit
// asks about every one. The signer is exact, so that a question is one call.
const (
	hour         = time.Hour
	pods         = 10_000 / smaller
	imagesOfAPod = 10
	imagesInAll  = 1_000 / smaller
	replicaCount = 3
	answersIn    = 100 * time.Millisecond // Endor Labs

	webhooks      = 3
	responseCache = 15 * time.Second // of each process of Gatekeeper
	auditEvery    = time.Minute
	auditPods     = 100 / smaller // are audited in auditPause
	auditPause    = 200 * time.Millisecond

	// renewAfter is the least time between two calls about one image: a hit in
	// the last quarter of a life renews it.
	renewAfter = 5 * time.Minute * 3 / 4
)

func TestAFleetAsksOnceInALifetimeWithASharedCacheAndOncePerReplicaWithout(t *testing.T) {
	t.Parallel()
	calls := map[bool]int{}
	for _, shared := range []bool{false, true} {
		for _, keepAlive := range []bool{true, false} {
			c := anHour(t, shared, keepAlive)
			c.check(t)
			calls[shared] += len(c.calls)
		}
	}
	if calls[true]*2 > calls[false] {
		t.Errorf("%d calls with a shared cache and %d without, want at most half", calls[true], calls[false])
	}
}

// cluster is a cluster, its providers, and what they asked.
type cluster struct {
	shared    bool
	keepAlive bool // each process of Gatekeeper stays with a replica for some minutes
	keys      []string
	desks     []*verify.Desk

	mu        sync.Mutex // protects the fields below
	calls     []call
	reviews   int
	questions int
}

// call is one call of Endor Labs. They are in the order in which they began.
type call struct {
	replica int
	image   verify.ID
	looked  time.Time // into the shared cache, in vain
	began   time.Time
}

// view is the shared cache as one replica sees it.
type view struct {
	verify.Shared

	mu     sync.Mutex // protects looked
	looked map[verify.ID]time.Time
}

func (v *view) Get(ctx context.Context, ids []verify.ID) map[verify.ID]verify.Verdict {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, id := range ids {
		v.looked[id] = time.Now()
	}
	return v.Shared.Get(ctx, ids)
}

func (v *view) lookedFor(id verify.ID) time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.looked[id]
}

func anHour(t *testing.T, shared, keepAlive bool) *cluster {
	c := &cluster{shared: shared, keepAlive: keepAlive}
	exact := mustSigners(t, question.Claims{CertificateOIDCIssuer: verify.DefaultIssuer, SourceRepository: "acme/api"})
	for i := range imagesInAll {
		c.keys = append(c.keys, question.Question{Image: mustParse(t, "ghcr.io/acme/api@"+digest(i)), Signers: exact}.Key())
	}
	synctest.Test(t, func(t *testing.T) {
		commons := newCommons()
		for i := range replicaCount {
			cfg := verify.Config{Resolver: resolver}
			sees := &view{Shared: commons, looked: map[verify.ID]time.Time{}}
			if shared {
				cfg.Shared = sees
			}
			desk, err := verify.New(c.endor(i, sees), cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer desk.Close()
			c.desks = append(c.desks, desk)
		}
		c.live(t)
	})
	return c
}

// endor is Endor Labs for one replica.
func (c *cluster) endor(replica int, sees *view) verify.Verifier {
	return verifierFunc(func(_ context.Context, q question.Question) (verify.Verdict, error) {
		v, id := verified(), verify.Identify(q)
		c.mu.Lock()
		c.calls = append(c.calls, call{replica: replica, image: id, looked: sees.lookedFor(id), began: v.AskedAt})
		c.mu.Unlock()
		time.Sleep(answersIn)
		return v, nil
	})
}

func (c *cluster) live(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	all := make([][]int, pods) // the images of each
	for i := range all {
		all[i] = random.Perm(imagesInAll)[:imagesOfAPod]
	}
	end := time.Now().Add(hour)
	var running sync.WaitGroup
	running.Go(func() {
		audit := newGatekeeper(c, webhooks)
		for next := time.Now(); next.Before(end); next = next.Add(auditEvery) {
			time.Sleep(time.Until(next))
			for i, pod := range all {
				audit.review(t, pod)
				if i%auditPods == 0 {
					time.Sleep(auditPause)
				}
			}
		}
	})
	var hooks []*gatekeeper
	for i := range webhooks {
		hooks = append(hooks, newGatekeeper(c, uint64(i)))
	}
	for _, pod := range all {
		hook := hooks[random.IntN(webhooks)]
		running.Go(func() { hook.review(t, pod) })
		time.Sleep(hour / pods)
	}
	running.Wait()
}

// gatekeeper is one process of Gatekeeper. It caches each item of a response by
// its key, and asks for those that it lacks.
type gatekeeper struct {
	cluster *cluster

	mu     sync.Mutex // protects the fields below
	random *rand.Rand
	until  []time.Time // by image, the end of its item
	desk   *verify.Desk
	closes time.Time // the connection to desk
}

func newGatekeeper(c *cluster, seed uint64) *gatekeeper {
	return &gatekeeper{cluster: c, random: rand.New(rand.NewPCG(2, seed)), until: make([]time.Time, imagesInAll)}
}

// review asks about the images of a Pod.
func (g *gatekeeper) review(t *testing.T, pod []int) {
	desk, missing := g.lacks(pod)
	if len(missing) == 0 {
		return
	}
	keys := make([]string, len(missing))
	for i, image := range missing {
		keys[i] = g.cluster.keys[image]
	}
	answers := desk.Answers(t.Context(), keys)
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, a := range answers {
		if !a.Verdict.Verified() {
			t.Errorf("%s: %s, want VERIFIED", a.Key, a.Code())
		}
		g.until[missing[i]] = time.Now().Add(responseCache)
	}
}

// lacks gives the images of a Pod that are not cached, and the replica to ask.
func (g *gatekeeper) lacks(pod []int) (desk *verify.Desk, missing []int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	for _, image := range pod {
		if !now.Before(g.until[image]) {
			missing = append(missing, image)
		}
	}
	if !g.cluster.keepAlive || !now.Before(g.closes) { // as package server closes connections
		g.desk = g.cluster.desks[g.random.IntN(replicaCount)]
		g.closes = now.Add(5*time.Minute + time.Duration(g.random.Int64N(int64(5*time.Minute))))
	}
	g.cluster.count(len(missing))
	return g.desk, missing
}

func (c *cluster) count(questions int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reviews++
	c.questions += questions
}

// check holds that there is one call about each image in a lifetime: of the whole
// fleet with a shared cache, of each replica without. A lifetime is cut short to
// three quarters, because a hit in the last one renews it: an image that is
// asked about all the time costs a call each 3m45s. With a shared cache two
// replicas can cross each other: the second looked there before the first was
// answered, and neither could know. That is counted apart and must be rare.
func (c *cluster) check(t *testing.T) {
	t.Helper()
	type asker struct {
		image   verify.ID
		replica int
	}
	lifetime, lifetimes := map[asker]time.Time{}, map[asker]int{} // when it began; how many there were
	most, crossed := 0, 0
	for _, call := range c.calls {
		by := asker{image: call.image}
		if !c.shared {
			by.replica = call.replica
		}
		began, found := lifetime[by]
		switch {
		case !found || call.began.Sub(began) >= renewAfter:
			lifetime[by] = call.began
			lifetimes[by]++
			most = max(most, lifetimes[by])
		case c.shared && !call.looked.After(began.Add(answersIn)):
			crossed++
		default:
			t.Errorf("shared cache %v, keep-alive %v: replica %d asked again %v after a lifetime began, and looked into the shared cache %v after",
				c.shared, c.keepAlive, call.replica, call.began.Sub(began), call.looked.Sub(began))
		}
	}
	t.Logf("shared cache %-5v  keep-alive %-5v  %7d reviews  %7d questions of Gatekeeper  %6d calls of Endor Labs (%d crossed)  at most %d about one image",
		c.shared, c.keepAlive, c.reviews, c.questions, len(c.calls), crossed, most)
	if bound := 1 + int(hour/renewAfter); most > bound {
		t.Errorf("%d lifetimes of one image in an hour, want at most %d", most, bound)
	}
	if crossed*20 > len(c.calls) {
		t.Errorf("%d of %d calls crossed another, want at most 5%%", crossed, len(c.calls))
	}
}
