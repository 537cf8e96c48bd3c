package bench

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// histogram counts durations in buckets that are at most 1/32 wide, from a microsecond to over an hour. It may be
// written from many goroutines.
type histogram struct {
	buckets [32 * 32]atomic.Uint64
	max     atomic.Int64
	sum     atomic.Int64
}

// add counts d; what is negative counts as zero.
func (h *histogram) add(d time.Duration) {
	us := uint64(max(d, 0) / time.Microsecond)
	h.buckets[bucket(us)].Add(1)
	h.sum.Add(int64(us))
	for m := h.max.Load(); int64(d) > m && !h.max.CompareAndSwap(m, int64(d)); m = h.max.Load() {
	}
}

func bucket(us uint64) int {
	if us < 32 {
		return int(us)
	}
	e := bits.Len64(us) - 6 // us>>e is in 32…63
	return min(32+e*32+int(us>>e)-32, 32*32-1)
}

// top is the largest number of microseconds in a bucket.
func top(b int) uint64 {
	if b < 32 {
		return uint64(b)
	}
	e := (b - 32) / 32
	return (uint64(32+(b-32)%32)+1)<<e - 1
}

func (h *histogram) count() uint64 {
	var n uint64
	for i := range h.buckets {
		n += h.buckets[i].Load()
	}
	return n
}

// quantile is the duration that a share q of the counted ones does not exceed.
func (h *histogram) quantile(q float64) time.Duration {
	n := h.count()
	if n == 0 {
		return 0
	}
	want := uint64(q * float64(n))
	if float64(want) < q*float64(n) {
		want++
	}
	var seen uint64
	for i := range h.buckets {
		if seen += h.buckets[i].Load(); seen >= max(want, 1) {
			return min(time.Duration(top(i))*time.Microsecond, time.Duration(h.max.Load()))
		}
	}
	return time.Duration(h.max.Load())
}

// Latency is a summary of durations, in milliseconds.
type Latency struct {
	Count uint64  `json:"count"`
	Mean  float64 `json:"meanMs"`
	P50   float64 `json:"p50Ms"`
	P90   float64 `json:"p90Ms"`
	P99   float64 `json:"p99Ms"`
	P999  float64 `json:"p999Ms"`
	Max   float64 `json:"maxMs"`
}

func (h *histogram) summary() Latency {
	n := h.count()
	l := Latency{
		Count: n, P50: ms(h.quantile(.5)), P90: ms(h.quantile(.9)), P99: ms(h.quantile(.99)),
		P999: ms(h.quantile(.999)), Max: ms(time.Duration(h.max.Load())),
	}
	if n > 0 {
		l.Mean = float64(h.sum.Load()) / float64(n) / 1000
	}
	return l
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
