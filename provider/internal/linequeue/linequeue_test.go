// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package linequeue_test

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/linequeue"
	"github.com/endorlabs/endor-gatekeeper-provider/provider/internal/logtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// put writes lines, which never fails.
func put(t *testing.T, q *linequeue.Queue, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if n, err := io.WriteString(q, line); n != len(line) || err != nil {
			t.Fatalf("Write = %d, %v", n, err)
		}
	}
}

func end(t *testing.T, q *linequeue.Queue) {
	t.Helper()
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestWhatWasQueuedIsWrittenInOrderBeforeTheEnd(t *testing.T) {
	t.Parallel()
	out, results := &logtest.Log{}, linequeue.NewResults(nil, "lines_total", "log")
	q := linequeue.New(linequeue.Config{Out: out, Results: results})
	var want bytes.Buffer
	for i := range 1000 {
		fmt.Fprintf(&want, "line %d\n", i)
	}
	for line := range strings.Lines(want.String()) {
		put(t, q, line)
	}
	end(t, q)
	if got := out.String(); got != want.String() {
		t.Errorf("wrote\n%s", got)
	}
	if got := testutil.ToFloat64(results.WithLabelValues("written")); got != 1000 {
		t.Errorf("%v lines are counted as written", got)
	}
}

// Package log/slog uses its buffer again.
func TestALineThatWaitsIsItsOwn(t *testing.T) {
	t.Parallel()
	out := logtest.NewPipe()
	q := linequeue.New(linequeue.Config{Out: out})
	buffer := make([]byte, 4)
	for _, line := range []string{"one\n", "two\n", "six\n"} {
		copy(buffer, line)
		if _, err := q.Write(buffer); err != nil {
			t.Fatal(err)
		}
	}
	out.Read()
	end(t, q)
	if got := out.String(); got != "one\ntwo\nsix\n" {
		t.Errorf("wrote %q", got)
	}
}

func TestNobodyWaitsForAPipeThatNobodyReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out, results := logtest.NewPipe(), linequeue.NewResults(nil, "lines_total", "log")
		q := linequeue.New(linequeue.Config{Out: out, Results: results})
		start := time.Now()
		for range 10_000 {
			put(t, q, "line\n")
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("10,000 lines took %v", took)
		}
		if got := testutil.ToFloat64(results.WithLabelValues("dropped")); got < 5000 || got > 6000 {
			t.Errorf("%v of 10,000 lines are counted as dropped, want those that the queue does not hold", got)
		}
		if err := q.Close(); err == nil || time.Since(start) != time.Second {
			t.Errorf("Close = %v after %v, want an error after a second", err, time.Since(start))
		}
		put(t, q, "late\n") // harms nobody
		out.Read()
		synctest.Wait()
		if strings.Contains(out.String(), "late") {
			t.Error("a line was written after the end")
		}
	})
}

func TestWhatWaitsIsBoundedInBytes(t *testing.T) {
	out, results := logtest.NewPipe(), linequeue.NewResults(nil, "lines_total", "log")
	q := linequeue.New(linequeue.Config{Out: out, Results: results})
	before := heap()
	for range 100 {
		put(t, q, strings.Repeat("x", 1<<20))
	}
	if grew := heap() - before; grew > 8<<20 {
		t.Errorf("100 lines of 1 MiB hold %d MiB", grew>>20)
	}
	out.Read()
	end(t, q)
	written, dropped := testutil.ToFloat64(results.WithLabelValues("written")), testutil.ToFloat64(results.WithLabelValues("dropped"))
	if written != 4 || dropped != 96 {
		t.Errorf("%v lines of 1 MiB were written and %v dropped, want 4 and 96", written, dropped)
	}
}

// heap is what lives on it.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// What was taken makes room, however long that goes on.
func TestWhatIsWrittenMakesRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		results := linequeue.NewResults(nil, "lines_total", "log")
		q := linequeue.New(linequeue.Config{Out: io.Discard, Results: results})
		for range 100 {
			put(t, q, strings.Repeat("x", 3<<20))
			synctest.Wait()
		}
		end(t, q)
		if got := testutil.ToFloat64(results.WithLabelValues("written")); got != 100 {
			t.Errorf("%v of 100 lines were written, one after the other", got)
		}
	})
}

func TestHowManyAreLeftOutIsToldOnceLinesFlowAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out := logtest.NewPipe()
		q := linequeue.New(linequeue.Config{Out: out, LeftOut: func(lines int64) { fmt.Fprintf(out, "left out: %d\n", lines) }})
		put(t, q, "in hand\n")
		synctest.Wait()
		for range 5000 {
			put(t, q, "line\n")
		}
		if got := out.String(); got != "" {
			t.Fatalf("wrote %q to nobody", got)
		}
		out.Read()
		synctest.Wait()
		if got := out.Count("left out: 904\n"); got != 1 || out.Count("line\n") != 4096 {
			t.Errorf("it is told %d times that 904 lines are left out of 5,001:\n%s", got, out)
		}
		put(t, q, "another\n")
		end(t, q)
		if got := out.Count("left out"); got != 1 {
			t.Errorf("it is told %d times", got)
		}
	})
}

func TestALineThatCannotBeWrittenIsCountedAndLeftOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var said []string
		out, results := &logtest.FullDisk{Failing: 2}, linequeue.NewResults(nil, "lines_total", "log")
		q := linequeue.New(linequeue.Config{
			Out: out, Results: results,
			Failed:  func(err error) { said = append(said, err.Error()) },
			LeftOut: func(lines int64) { said = append(said, fmt.Sprint(lines, " left out")) },
		})
		for range 3 {
			put(t, q, "line\n")
			synctest.Wait()
		}
		end(t, q)
		if got, want := strings.Join(said, ", "), "no space left on device, no space left on device, 2 left out"; got != want {
			t.Errorf("said: %s, want %s", got, want)
		}
		if failed := testutil.ToFloat64(results.WithLabelValues("error")); failed != 2 || out.String() != "line\n" {
			t.Errorf("%v failed, and written was %q", failed, out)
		}
	})
}

func TestLinesAndTheEndAtTheSameTime(t *testing.T) {
	t.Parallel()
	for range 50 {
		q := linequeue.New(linequeue.Config{Out: &logtest.Log{}})
		var makers sync.WaitGroup
		for range 4 {
			makers.Go(func() {
				for range 100 {
					_, _ = io.WriteString(q, "line\n")
				}
			})
		}
		end(t, q)
		makers.Wait()
	}
}

// closed says whether it is.
type closed struct {
	io.Writer
	times int
}

func (c *closed) Close() error {
	c.times++
	return nil
}

func TestWhatTakesTheLinesIsClosedAtTheEnd(t *testing.T) {
	t.Parallel()
	out := &closed{Writer: io.Discard}
	q := linequeue.New(linequeue.Config{Out: out})
	put(t, q, "line\n")
	end(t, q)
	if out.times != 1 {
		t.Errorf("it was closed %d times", out.times)
	}
}

// An alert needs a zero to rise from.
func TestEveryResultIsCountedFromTheStart(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	q := linequeue.New(linequeue.Config{Out: io.Discard, Results: linequeue.NewResults(reg, "lines_total", "log")})
	end(t, q)
	if n, err := testutil.GatherAndCount(reg, "lines_total"); n != 3 || err != nil {
		t.Errorf("%d results are counted, %v", n, err)
	}
}
