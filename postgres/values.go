package postgres

import (
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/pactwire/pactwire"
)

// Times are kept as milliseconds since 1970, which is what clients see; NULL is the zero time, in columns where 0 is not.

func millis(t time.Time) int64 { return t.UnixMilli() }

func timeOf(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// zeroMillis and zeroTime write the zero time as 0, for columns where NULL says something else or nothing.
func zeroMillis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return millis(t)
}

func zeroTime(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return timeOf(ms)
}

func nullMillis(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	ms := millis(t)
	return &ms
}

func nullTime(ms *int64) time.Time {
	if ms == nil {
		return time.Time{}
	}
	return timeOf(*ms)
}

func ptrMillis(t *pactwire.Time) *int64 {
	if t == nil {
		return nil
	}
	ms := millis(t.Std())
	return &ms
}

func ptrTime(ms *int64) *pactwire.Time {
	if ms == nil {
		return nil
	}
	t := pactwire.Time(timeOf(*ms))
	return &t
}

func nullText(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func textOf(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// dateNumber is d as the number yyyymmdd, 0 for none.
func dateNumber(d pactwire.LocalDate) (int32, error) {
	if d == "" {
		return 0, nil
	}
	n := int32(0)
	ok := len(d) == 10
	for i := 0; ok && i < len(d); i++ {
		switch c := d[i]; {
		case i == 4 || i == 7:
			ok = c == '-'
		case c >= '0' && c <= '9':
			n = n*10 + int32(c-'0')
		default:
			ok = false
		}
	}
	if !ok {
		return 0, fmt.Errorf("%q is no local date", string(d))
	}
	return n, nil
}

func dateOf(n int32) pactwire.LocalDate {
	if n == 0 {
		return ""
	}
	b := []byte("0000-00-00")
	for p := len(b) - 1; p >= 0; p-- {
		if b[p] != '-' {
			b[p] = byte('0' + n%10)
			n /= 10
		}
	}
	return pactwire.LocalDate(b)
}

// mediaBytes and mediaOf keep a check-in's media; none is NULL, and a list that is never nil.
func mediaBytes(list []pactwire.Media) ([]byte, error) {
	if len(list) == 0 {
		return nil, nil
	}
	return json.Marshal(list)
}

func mediaOf(b []byte) ([]pactwire.Media, error) {
	out := []pactwire.Media{}
	if b == nil {
		return out, nil
	}
	if err := json.Unmarshal(b, &out); err != nil {
		return nil, fmt.Errorf("proof media: %w", err)
	}
	return out, nil
}

// seqInt fits a sequence number into a BIGINT.
func seqInt(s pactwire.Seq) int64 { return int64(min(s, math.MaxInt64)) }
