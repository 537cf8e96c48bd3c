package bench

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestQuantilesAreWithinABucket(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ds := rapid.SliceOfN(rapid.Int64Range(0, int64(time.Hour)), 1, 300).Draw(t, "durations")
		var h histogram
		for _, d := range ds {
			h.add(time.Duration(d))
		}
		slices.Sort(ds)
		for _, q := range []float64{0, .5, .9, .99, 1} {
			exact := time.Duration(ds[max(int(float64(len(ds))*q+.999999)-1, 0)])
			got := h.quantile(q)
			if got < exact-time.Microsecond || got > exact+exact/16+2*time.Microsecond {
				t.Fatalf("quantile %v is %v, want %v", q, got, exact)
			}
		}
		if h.count() != uint64(len(ds)) {
			t.Fatalf("counted %d of %d", h.count(), len(ds))
		}
	})
}

func TestBucketsAreMonotone(t *testing.T) {
	last := -1
	for us := range uint64(1 << 17) {
		b := bucket(us)
		if b < last || top(b) < us || b > 0 && top(b-1) >= us {
			t.Fatalf("%d µs is in bucket %d, after %d, whose top is %d", us, b, last, top(b))
		}
		last = b
	}
	if bucket(1<<63) != len(histogram{}.buckets)-1 {
		t.Error("what is too long belongs in the last bucket")
	}
}

func TestMembersRoundTrip(t *testing.T) {
	want := []Member{
		{"c1", "u1", "t.o.k", "p1", "g1"}, {"c2", "u2", "t.o.l", "p1", "g1"}, {"c3", "u3", "t", "p2", "g2"},
	}
	path := filepath.Join(t.TempDir(), "members.tsv")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := WriteMembers(f, want); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := ReadMembers(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if p := pacts(got); len(p) != 2 || len(p[0]) != 2 || len(p[1]) != 1 {
		t.Errorf("grouped as %v", p)
	}
	for _, bad := range []string{"", "a\tb\n", "1\t2\t3\t4\t5\t6\n"} {
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if m, err := ReadMembers(path); err == nil {
			t.Errorf("%q was read as %v", bad, m)
		}
	}
}

func TestUsageOfThisProcess(t *testing.T) {
	before, err := readUsage([]int{os.Getpid()})
	if err != nil {
		t.Fatal(err)
	}
	if before.rss < 1<<20 {
		t.Errorf("resident: %d bytes", before.rss)
	}
	// Work until it is accounted for, which on a busy machine takes a while.
	var x uint64
	after := before
	for until := time.Now().Add(20 * time.Second); after.cpu <= before.cpu && time.Now().Before(until); {
		for range 1_000_000 {
			x += rand.Uint64()
		}
		if after, err = readUsage([]int{os.Getpid()}); err != nil {
			t.Fatal(err)
		}
	}
	if after.cpu <= before.cpu {
		t.Errorf("no CPU used: %v, then %v (%d)", before, after, x)
	}
	if _, err := readUsage([]int{1 << 30}); err == nil {
		t.Error("a process that is not there was read")
	}
}
